# SPDX-License-Identifier: MPL-2.0
# What a node says of the account.
.Attributes["driver.triton"] == "1" and .Attributes["driver.triton.account"] == "acme" and
.Attributes["driver.triton.datacenter"] == "standin-1" and .Attributes["driver.triton.cns"] == "true" and
.Attributes["driver.triton.limit.machines"] == "25" and (.Attributes | has("driver.triton.limit.ram") | not)
