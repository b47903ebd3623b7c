/* SPDX-License-Identifier: MPL-2.0 */
/* PID 1 in the second stage: the node.  Does not return. */
#ifndef NOMADINIT_NODE_H
#define NOMADINIT_NODE_H

void node_main(void) __attribute__((noreturn));
/* Apply "net.ipv4.ip_forward" = "1"; -EINVAL if the key could lead out of /proc/sys. */
int node_sysctl(const char *root, const char *key, const char *value);

#endif
