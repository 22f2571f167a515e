/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Secrets taken out of a text that somebody else will read: every line of a log, every file of a diagnostic
 * package. What is taken for one:
 *
 *     https://user:HERE@host   yg1.HERE (activation tokens)   ygk_id_HERE (API keys)   eyJHERE.HERE.HERE
 *     user:HERE@host:port (a proxy's address needs no scheme)
 *     Authorization: HERE      Cookie: HERE                   Bearer, Basic, NTLM, Negotiate, Digest HERE
 *     password = HERE          "proxy_password":"HERE"        names that end in password, passwd, pwd, secret,
 *                                                             passphrase, token, credential, api_key, private_key
 *     -----BEGIN … PRIVATE KEY-----HERE-----END …             what was told with yg_scrub_add
 *
 * An empty value stays, so that one can see that nothing was set.
 */

#define YG_SCRUB_MARK "***"
#define YG_SCRUB_MAX  64 /* values that can be told */

/* Put "***" in the place of each secret, in the text itself, which can only get shorter (a secret of one or two
 * bytes becomes as many stars). NUL bytes may be in it; the caller ends it anew.
 * in      *count  or NULL: raised by the number of secrets found
 * returns the new length
 */
size_t yg_scrub(char *text, size_t len, unsigned *count);

/* A secret of this process (a proxy's password): from now on it is taken out wherever it stands. Of 4 bytes and
 * more; NULL and "" are fine. False when it was not kept: there are too many.
 */
bool yg_scrub_add(const char *secret);
