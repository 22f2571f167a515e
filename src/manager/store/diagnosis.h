/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "manager/store/store.h"

/* What the Manager says when it is asked what is wrong, and who has to reach whom (diagnose/). */
STORE_OP(op_diagnosis_get);
STORE_OP(op_network_plan_get);
