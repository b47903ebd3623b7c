# syntax=docker/dockerfile:1
# check=skip=all
# SPDX-License-Identifier: MPL-2.0
# says: [style value][two words][3 $ONE][] <<EOF ended
ARG SUFFIX
FROM	alpine:3.19${SUFFIX:+-$SUFFIX} AS base
ENV OLD style value
ENV	ONE=1 TWO="two words" THREE='3 $ONE' FOUR=${ONE:+set}
LABEL a=b \
      # between two lines
      c="d e" \

      "org.example.vendor"="An Example"
RUN set -eu; \
	\
# in the midst of a step
	echo "<<EOF" >/f; \

	echo "[$OLD][$TWO][$THREE][$FOUR] $(cat /f) ended"; sleep 0.2
