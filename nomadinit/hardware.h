/* SPDX-License-Identifier: MPL-2.0 */
/* The machine's own events: power button, watchdog, devices that are plugged in. */
#ifndef NOMADINIT_HARDWARE_H
#define NOMADINIT_HARDWARE_H

#include <stdbool.h>
#include <stddef.h>

/* Call `pressed` when a power button is. */
void hardware_watch_buttons(void (*pressed)(void));
/* Does this input device name belong to a power button? */
bool hardware_is_power_button(const char *name);
/* Feed the watchdog from the event loop. */
void hardware_start_watchdog(long seconds);
/* Load modules for what is plugged in later. */
void hardware_watch_hotplug(void);
/* The value of KEY in an uevent (strings ended by NUL), or NULL. */
const char *hardware_uevent_get(const char *event, size_t len, const char *key);

#endif
