-- SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
-- Times are seconds since 1970 in UTC; truth values 0 and 1; documents JSON text. The PostgreSQL file differs in
-- the names of types only.

CREATE TABLE settings (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT;

-- What the Manager knows about itself: manager_id, ca_bundle, newest …
CREATE TABLE facts (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT;

-- Sealed by the role that holds the master key before they come here.
CREATE TABLE secrets (
	name TEXT PRIMARY KEY,
	data BLOB NOT NULL
) STRICT;

CREATE TABLE policies (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	version INTEGER NOT NULL,
	is_default INTEGER NOT NULL,
	document TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	updated INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	secret_sha256 TEXT NOT NULL UNIQUE,
	policy TEXT REFERENCES policies (id),
	in_group TEXT,
	relay INTEGER NOT NULL,
	uses INTEGER NOT NULL,
	used INTEGER NOT NULL,
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	revoked INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	secret_sha256 TEXT NOT NULL,
	created INTEGER NOT NULL,
	last_used INTEGER,
	revoked INTEGER NOT NULL
) STRICT;

CREATE TABLE computers (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	hostname TEXT NOT NULL,
	in_group TEXT,
	kind TEXT NOT NULL,
	address TEXT NOT NULL,
	state TEXT NOT NULL,
	protection TEXT NOT NULL,
	relay INTEGER NOT NULL,
	relay_allowed INTEGER NOT NULL,
	relay_port INTEGER NOT NULL,
	relay_urls TEXT,
	policy TEXT NOT NULL REFERENCES policies (id),
	policy_has TEXT NOT NULL,
	set_has TEXT NOT NULL,
	hello TEXT NOT NULL,
	status TEXT,
	components TEXT NOT NULL,
	token TEXT REFERENCES tokens (id),
	csr_sha256 TEXT NOT NULL,
	serial TEXT,
	online INTEGER NOT NULL,
	last_seq INTEGER NOT NULL,
	created INTEGER NOT NULL,
	activated INTEGER,
	last_contact INTEGER,
	deleted INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX computers_name ON computers (name, id);
CREATE INDEX computers_contact ON computers (last_contact) WHERE online = 1;
CREATE INDEX computers_relay ON computers (id) WHERE relay = 1;
CREATE INDEX computers_request ON computers (token, csr_sha256);

CREATE TABLE computer_components (
	computer TEXT NOT NULL REFERENCES computers (id),
	name TEXT NOT NULL,
	version INTEGER NOT NULL,
	PRIMARY KEY (computer, name)
) STRICT;

CREATE TABLE certificates (
	serial TEXT PRIMARY KEY,
	computer TEXT NOT NULL REFERENCES computers (id),
	issued INTEGER NOT NULL,
	not_after INTEGER NOT NULL,
	revoked INTEGER NOT NULL
) STRICT;
CREATE INDEX certificates_computer ON certificates (computer);

CREATE TABLE commands (
	computer TEXT NOT NULL REFERENCES computers (id),
	seq INTEGER NOT NULL,
	job TEXT,
	body TEXT NOT NULL,
	PRIMARY KEY (computer, seq)
) STRICT;
CREATE INDEX commands_job ON commands (job);

-- relay_ref is the job id under which relays know their part: a computer has one result for each.
CREATE TABLE jobs (
	id TEXT PRIMARY KEY,
	number INTEGER NOT NULL UNIQUE,
	relay_ref TEXT NOT NULL UNIQUE,
	kind TEXT NOT NULL,
	state TEXT NOT NULL,
	phase TEXT NOT NULL,
	outcome TEXT,
	made_by TEXT NOT NULL,
	scheduled INTEGER NOT NULL,
	relays INTEGER NOT NULL,
	paths TEXT NOT NULL,
	aim TEXT NOT NULL,
	created INTEGER NOT NULL,
	deadline INTEGER NOT NULL,
	check_until INTEGER NOT NULL,
	ended INTEGER
) STRICT;
CREATE INDEX jobs_running ON jobs (number) WHERE state = 'running';

-- part is 'agent' or 'relay'; joined names the job whose result becomes this one's.
CREATE TABLE job_computers (
	job TEXT NOT NULL REFERENCES jobs (id),
	computer TEXT NOT NULL REFERENCES computers (id),
	part TEXT NOT NULL,
	state TEXT NOT NULL,
	final INTEGER NOT NULL,
	phase TEXT NOT NULL,
	done INTEGER NOT NULL,
	total INTEGER NOT NULL,
	cause TEXT NOT NULL,
	sentence TEXT NOT NULL,
	detail TEXT,
	joined TEXT,
	ended INTEGER,
	PRIMARY KEY (job, computer, part)
) STRICT;
CREATE INDEX job_computers_computer ON job_computers (computer, job);
CREATE INDEX job_computers_open ON job_computers (computer, part) WHERE final = 0;
CREATE INDEX job_computers_joined ON job_computers (joined, computer) WHERE joined IS NOT NULL;

-- An event of an agent is there once, however often it was sent.
CREATE TABLE events (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	id INTEGER NOT NULL,
	level INTEGER NOT NULL,
	origin INTEGER NOT NULL,
	computer TEXT REFERENCES computers (id),
	epoch TEXT,
	agent_seq INTEGER,
	job TEXT,
	happened INTEGER NOT NULL,
	received INTEGER NOT NULL,
	params TEXT NOT NULL,
	UNIQUE (computer, epoch, agent_seq)
) STRICT;
CREATE INDEX events_computer ON events (computer, number);
CREATE INDEX events_id ON events (id, number);
