/* SPDX-License-Identifier: MPL-2.0 */
/* Checks of values, for the option tables: NULL, or what is wanted instead. */
#ifndef NOMADINIT_CONFIG_CHECK_H
#define NOMADINIT_CONFIG_CHECK_H

const char *config_check_ip(const char *s);
const char *config_check_cidr(const char *s);
const char *config_check_route(const char *s);
const char *config_check_link(const char *s);
const char *config_check_bond_mode(const char *s);
const char *config_check_provider(const char *s);
const char *config_check_hostname(const char *s);
const char *config_check_host_or_ip(const char *s);
const char *config_check_label(const char *s);
const char *config_check_module(const char *s);

#endif
