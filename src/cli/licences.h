/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* Licences, and what content computers should run. Each returns an exit code. */
int licences_list(struct cli *cli);
int licences_add(struct cli *cli);
int licences_add_key(struct cli *cli);
int licences_remove(struct cli *cli);
