-- SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
-- Times are seconds since 1970 in UTC; truth values 0 and 1; documents JSON text. The SQLite file differs in
-- the names of types only.

CREATE TABLE settings (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
);

-- What the Manager knows about itself: manager_id, ca_bundle, newest …
CREATE TABLE facts (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
);

-- Sealed by the role that holds the master key before they come here.
CREATE TABLE secrets (
	name TEXT PRIMARY KEY,
	data BYTEA NOT NULL
);

CREATE TABLE policies (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	version BIGINT NOT NULL,
	is_default BIGINT NOT NULL,
	document TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	updated BIGINT NOT NULL
);

CREATE TABLE tokens (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	secret_sha256 TEXT NOT NULL UNIQUE,
	policy TEXT REFERENCES policies (id),
	in_group TEXT,
	relay BIGINT NOT NULL,
	uses BIGINT NOT NULL,
	used BIGINT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	revoked BIGINT NOT NULL
);

CREATE TABLE keys (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	secret_sha256 TEXT NOT NULL,
	created BIGINT NOT NULL,
	last_used BIGINT,
	revoked BIGINT NOT NULL
);

CREATE TABLE computers (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	hostname TEXT NOT NULL,
	in_group TEXT,
	kind TEXT NOT NULL,
	address TEXT NOT NULL,
	state TEXT NOT NULL,
	protection TEXT NOT NULL,
	relay BIGINT NOT NULL,
	relay_allowed BIGINT NOT NULL,
	relay_port BIGINT NOT NULL,
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
	online BIGINT NOT NULL,
	last_seq BIGINT NOT NULL,
	created BIGINT NOT NULL,
	activated BIGINT,
	last_contact BIGINT,
	deleted BIGINT NOT NULL
);
CREATE UNIQUE INDEX computers_name ON computers (name, id);
CREATE INDEX computers_contact ON computers (last_contact) WHERE online = 1;
CREATE INDEX computers_relay ON computers (id) WHERE relay = 1;
CREATE INDEX computers_request ON computers (token, csr_sha256);

CREATE TABLE computer_components (
	computer TEXT NOT NULL REFERENCES computers (id),
	name TEXT NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (computer, name)
);

CREATE TABLE certificates (
	serial TEXT PRIMARY KEY,
	computer TEXT NOT NULL REFERENCES computers (id),
	issued BIGINT NOT NULL,
	not_after BIGINT NOT NULL,
	revoked BIGINT NOT NULL
);
CREATE INDEX certificates_computer ON certificates (computer);

CREATE TABLE commands (
	computer TEXT NOT NULL REFERENCES computers (id),
	seq BIGINT NOT NULL,
	job TEXT,
	body TEXT NOT NULL,
	PRIMARY KEY (computer, seq)
);
CREATE INDEX commands_job ON commands (job);

-- relay_ref is the job id under which relays know their part: a computer has one result for each.
CREATE TABLE jobs (
	id TEXT PRIMARY KEY,
	number BIGINT NOT NULL UNIQUE,
	relay_ref TEXT NOT NULL UNIQUE,
	kind TEXT NOT NULL,
	state TEXT NOT NULL,
	phase TEXT NOT NULL,
	outcome TEXT,
	made_by TEXT NOT NULL,
	scheduled BIGINT NOT NULL,
	relays BIGINT NOT NULL,
	paths TEXT NOT NULL,
	aim TEXT NOT NULL,
	created BIGINT NOT NULL,
	deadline BIGINT NOT NULL,
	check_until BIGINT NOT NULL,
	ended BIGINT
);
CREATE INDEX jobs_running ON jobs (number) WHERE state = 'running';

-- part is 'agent' or 'relay'; joined names the job whose result becomes this one's.
CREATE TABLE job_computers (
	job TEXT NOT NULL REFERENCES jobs (id),
	computer TEXT NOT NULL REFERENCES computers (id),
	part TEXT NOT NULL,
	state TEXT NOT NULL,
	final BIGINT NOT NULL,
	phase TEXT NOT NULL,
	done BIGINT NOT NULL,
	total BIGINT NOT NULL,
	cause TEXT NOT NULL,
	sentence TEXT NOT NULL,
	detail TEXT,
	joined TEXT,
	ended BIGINT,
	PRIMARY KEY (job, computer, part)
);
CREATE INDEX job_computers_computer ON job_computers (computer, job);
CREATE INDEX job_computers_open ON job_computers (computer, part) WHERE final = 0;
CREATE INDEX job_computers_joined ON job_computers (joined, computer) WHERE joined IS NOT NULL;

-- An event of an agent is there once, however often it was sent.
CREATE TABLE events (
	number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id BIGINT NOT NULL,
	level BIGINT NOT NULL,
	origin BIGINT NOT NULL,
	computer TEXT REFERENCES computers (id),
	epoch TEXT,
	agent_seq BIGINT,
	job TEXT,
	happened BIGINT NOT NULL,
	received BIGINT NOT NULL,
	params TEXT NOT NULL,
	UNIQUE (computer, epoch, agent_seq)
);
CREATE INDEX events_computer ON events (computer, number);
CREATE INDEX events_id ON events (id, number);
