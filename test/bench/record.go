// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
)

// record adds a figure to the file $BENCH_RESULTS, of which test/bench/report
// makes the table and the picture: what was measured, by whom, how much.  What
// stands first in a row is what the others are compared with.
func record(group, row, name string, value float64) {
	path := os.Getenv("BENCH_RESULTS")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s\t%s\t%s\t%.3f\n", group, row, name, value)
}
