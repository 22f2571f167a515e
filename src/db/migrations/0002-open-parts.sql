-- SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
-- With fifty thousand computers in a job, "is anything open?" must not look at all of them.
CREATE INDEX job_computers_unfinished ON job_computers (job) WHERE final = 0;
CREATE INDEX job_computers_relays ON job_computers (job) WHERE part = 'relay';
