-- SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
-- Relay groups, alerts, scheduled tasks, licences. The PostgreSQL file differs in the names of types only.

-- Alerts. One stands for a kind and a subject; those that ended are kept for a while.
CREATE TABLE alerts (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	kind TEXT NOT NULL,
	subject TEXT NOT NULL,
	level INTEGER NOT NULL,
	params TEXT NOT NULL,
	began INTEGER NOT NULL,
	changed INTEGER NOT NULL,
	ended INTEGER,
	reason TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX alerts_standing ON alerts (kind, subject) WHERE ended IS NULL;
CREATE INDEX alerts_subject ON alerts (subject);
CREATE INDEX alerts_ended ON alerts (ended) WHERE ended IS NOT NULL;

-- Failures in a row of what may pass, until one success.
CREATE TABLE alert_failures (
	kind TEXT NOT NULL,
	subject TEXT NOT NULL,
	failures INTEGER NOT NULL,
	since INTEGER NOT NULL,
	PRIMARY KEY (kind, subject)
) STRICT;
CREATE INDEX alert_failures_subject ON alert_failures (subject);

-- Scheduled tasks. schedule and target are JSON; next_run NULL: not planned (not enabled, or not looked at yet).
CREATE TABLE tasks (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	kind TEXT NOT NULL,
	enabled INTEGER NOT NULL,
	schedule TEXT NOT NULL,
	target TEXT NOT NULL,
	paths TEXT NOT NULL,
	relays INTEGER NOT NULL,
	window_s INTEGER NOT NULL,
	missed TEXT NOT NULL,
	next_run INTEGER,
	last_run INTEGER,
	last_job TEXT,
	last_state TEXT NOT NULL,
	created INTEGER NOT NULL
) STRICT;
CREATE INDEX tasks_next ON tasks (next_run) WHERE enabled = 1;
-- The one schedule that there was becomes a task.
INSERT INTO tasks (id, name, kind, enabled, schedule, target, paths, relays, window_s, missed, last_state, created)
	SELECT '00000000-0000-4000-8000-000000000002', 'update', 'update', 1,
		CASE WHEN value LIKE 'daily %' THEN '{"type":"daily","at":"' || substr(value, 7) || '","zone":"UTC"}'
		ELSE '{"type":"every","seconds":' || substr(value, 7) || '}' END,
		'{"type":"all"}', '[]', 1, 0, 'run', '', 0
	FROM settings WHERE name = 'schedule.update' AND (value LIKE 'daily __:__' OR value LIKE 'every %');
DELETE FROM settings WHERE name = 'schedule.update';
DELETE FROM facts WHERE name IN ('schedule.update', 'schedule.update.last');

-- Licences by group, and the keys that may sign them. ends NULL: perpetual.
CREATE TABLE licence_keys (
	id TEXT PRIMARY KEY,
	public TEXT NOT NULL,
	added INTEGER NOT NULL,
	who TEXT NOT NULL
) STRICT;
CREATE TABLE licences (
	id TEXT PRIMARY KEY,
	in_group TEXT NOT NULL,
	name TEXT NOT NULL,
	issued INTEGER NOT NULL,
	ends INTEGER,
	key TEXT NOT NULL,
	file TEXT NOT NULL,
	added INTEGER NOT NULL,
	who TEXT NOT NULL
) STRICT;

-- What computers should run when that is not the newest: JSON, '' for the newest; of a computer NULL: as its policy says.
ALTER TABLE policies ADD COLUMN content TEXT NOT NULL DEFAULT '';
ALTER TABLE computers ADD COLUMN content TEXT;

-- Jobs. The relays of an update go group by group, top first: one row for each group of the job, as the tree was when
-- it was made. parent is '' at the top; state waiting, asked, ready, failed.
CREATE TABLE job_groups (
	job TEXT NOT NULL REFERENCES jobs (id),
	in_group TEXT NOT NULL,
	name TEXT NOT NULL,
	parent TEXT NOT NULL,
	depth INTEGER NOT NULL,
	relays INTEGER NOT NULL,
	state TEXT NOT NULL,
	aim TEXT NOT NULL,
	cause TEXT NOT NULL,
	sentence TEXT NOT NULL,
	PRIMARY KEY (job, in_group)
) STRICT;
-- What runs goes on as one group: the parts' in_group is ''.
INSERT INTO job_groups (job, in_group, name, parent, depth, relays, state, aim, cause, sentence)
	SELECT id, '', 'default', '', 0, relays, CASE phase WHEN 'relays' THEN 'asked' ELSE 'ready' END, aim, '', ''
	FROM jobs WHERE state = 'running' AND kind = 'update';
-- Who cancelled it, or NULL.
ALTER TABLE jobs ADD COLUMN cancelled TEXT;
-- ref: the id of a relay's own run when it is not the job's relay_ref (it was asked a second time).
ALTER TABLE job_computers ADD COLUMN in_group TEXT NOT NULL DEFAULT '';
ALTER TABLE job_computers ADD COLUMN ref TEXT;
ALTER TABLE job_computers ADD COLUMN what TEXT NOT NULL DEFAULT '';
ALTER TABLE job_computers ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_computers ADD COLUMN bytes_of INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_computers ADD COLUMN left_s INTEGER;
-- Agents of a scheduled job are not sent for all at once: not_before is NULL when the part has begun or need not wait.
ALTER TABLE jobs ADD COLUMN spread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_computers ADD COLUMN not_before INTEGER;
CREATE INDEX job_computers_due ON job_computers (job, not_before) WHERE not_before IS NOT NULL;

-- Relay groups. A relay belongs to one, and takes from the relays of its parent; an agent takes from those of its
-- group. relay_on: what the Manager has decided of a computer's relay, NULL when its own configuration decides.
CREATE TABLE relay_groups (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	parent TEXT REFERENCES relay_groups (id),
	is_default INTEGER NOT NULL,
	created INTEGER NOT NULL,
	empty_since INTEGER
) STRICT;
INSERT INTO relay_groups (id, name, is_default, created)
	VALUES ('00000000-0000-4000-8000-000000000001', 'default', 1, CAST(strftime('%s', 'now') AS INTEGER));
ALTER TABLE computers ADD COLUMN relay_group TEXT REFERENCES relay_groups (id);
ALTER TABLE computers ADD COLUMN relay_on INTEGER;
ALTER TABLE tokens ADD COLUMN relay_group TEXT REFERENCES relay_groups (id);
UPDATE computers SET relay_group = '00000000-0000-4000-8000-000000000001';
CREATE INDEX computers_relay_group ON computers (relay_group, relay, deleted, activated);

-- With hundreds of groups and fifty thousand computers in a job, a group's relays, or what is open of a group, are found
-- without the others.
DROP INDEX job_computers_unfinished;
CREATE INDEX job_computers_unfinished ON job_computers (job, in_group, computer) WHERE final = 0;
DROP INDEX job_computers_relays;
CREATE INDEX job_computers_relays ON job_computers (job, in_group, computer) WHERE part = 'relay';

-- A computer has few commands, but fifty thousand computers have one of the same job: never look for them by the job.
DROP INDEX commands_job;
