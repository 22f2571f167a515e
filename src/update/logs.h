/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/attr.h"
#include "core/err.h"
#include "core/mem.h"

/* The three logs of updates under iaulogs/, which people and their tools have searched for years:
 *
 *     TmuDump.txt   connections to update sources and relays
 *                   Err 20140528 06:39:39 2272 1592 HttpsConnection: Server Error: HTTP 503 …
 *     iau.log       the agent's updates          iaurelay.log  the relay's (only on a relay)
 *                   [2014-May-28 06:39:41 4467|1085278544] [app] Update [src/core/src/context.cpp(487)]
 *                   Update finished with result : IAU_STATUS_FILE_EXISTS[-1073610747(3,2,5)]
 *
 * Times are local. A file that grows beyond its limit becomes FILE.1, that FILE.2 and so on. A log that
 * cannot be written is no reason to stop an update: the first failure goes to the operator's log.
 * source  behaviour L; the spelling of the old messages is part of the format
 */

#define YG_LOGS_503         "Server Error: HTTP 503 Service Unavailable"
#define YG_LOGS_MAINTENANCE "Service is under maintainence"
#define YG_LOGS_BUSY        "Busy with exisiting update"

enum yg_logs_file { YG_LOGS_TMU, YG_LOGS_IAU, YG_LOGS_RELAY };
#define YG_LOGS_FILES 3

enum yg_logs_level { YG_LOGS_ERR, YG_LOGS_APP, YG_LOGS_DBG }; /* less is more important */

struct yg_logs;

/* in      dir       the folder iaulogs; a descriptor of its own is kept
 *         level     what iau.log and iaurelay.log get, and all when the level of the process (core/log.h) is debug;
 *                   what they do not get stays in memory, see yg_logs_entry
 *         size_max  bytes of a file; keep: old files of each
 * errors  YG_ESYSTEM
 */
struct yg_logs *yg_logs_new(int dir, enum yg_logs_level level, int64_t size_max, int keep,
	struct yg_err *err) YG_MUST_CHECK;
void yg_logs_free(struct yg_logs *logs);
YG_DEFINE_AUTO(yg_logs);

/* "err", "app", "dbg". errors  YG_EFORMAT */
int yg_logs_level_parse(const char *name, enum yg_logs_level *out, struct yg_err *err)
	YG_MUST_CHECK;

/* A line of TmuDump.txt: "Err" for what failed, "Inf" for the rest. */
void yg_logs_tmu(struct yg_logs *logs, bool failed, const char *where, const char *fmt, ...)
	YG_PRINTF(4, 5);

/* An entry of iau.log or iaurelay.log. The text may have several lines. What is below the level goes to a
 * ring of the last 64 KiB in memory, and with the next entry of level err into the file.
 */
void yg_logs_entry(struct yg_logs *logs, enum yg_logs_file file, enum yg_logs_level level,
	const char *function, const char *source, int line, const char *fmt, ...) YG_PRINTF(7, 8);

/* yg_logs_entry with the place where it stands. `function` is a word of the log: "Update". */
#define YG_LOGS(logs, file, level, function, ...)                                                  \
	yg_logs_entry(logs, file, level, function, __FILE__, __LINE__, __VA_ARGS__)

/* What failed, in the words that the event, the job's result and `yagura diagnose` have too, with the cause:
 *
 *     fetch (https://relay:4122): The connection was refused: nothing listens at this address and port.
 *     (10.0.0.5 port 4122: Connection refused) [net.refused]
 *
 * (one line). An entry of level err; `function` and the format as above.
 */
void yg_logs_failure(struct yg_logs *logs, enum yg_logs_file file, const char *function,
	const char *source, int line, const struct yg_err *why, const char *fmt, ...)
	YG_PRINTF(7, 8);
#define YG_LOGS_FAILURE(logs, file, function, why, ...)                                            \
	yg_logs_failure(logs, file, function, __FILE__, __LINE__, why, __VA_ARGS__)

/* The same as a line of TmuDump.txt: a connection to `url` that failed. An answer with status 503 has the old
 * log's own two lines before it.
 */
void yg_logs_tmu_failure(struct yg_logs *logs, const char *url, const struct yg_err *why);

/* "Update finished with result : IAU_STATUS_…", in the form of the file; cause "" is success. */
void yg_logs_finished(struct yg_logs *logs, enum yg_logs_file file, const char *cause);
