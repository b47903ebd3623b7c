// SPDX-License-Identifier: MPL-2.0
//
// A driver in C++11: it counts down to zero in the shell of the host.
#include <nomad/plugin.h>

#include <cerrno>
#include <string>
#include <unistd.h>

namespace {

struct config {
	int64_t from;
	nomad_map labels;
};

const nomad_option options[] = {
	NOMAD_OPTION_CXX(config, from, INT, o.required = true; o.min = 1; o.max = 1000; o.help = "Where it begins."),
	NOMAD_OPTION_CXX(config, labels, STRING_MAP, o.help = "Words to print first, each with its name."),
};
const nomad_schema schema = NOMAD_SCHEMA_CXX(config, options);

void fingerprint(nomad_plugin *, nomad_fingerprint *fp)
{
	nomad_fp_check(fp, "shell", access("/bin/sh", X_OK) == 0, NOMAD_UNDETECTED, "there is no /bin/sh",
		       "install a shell");
}

// No exception leaves a callback: the library is C.
int start(nomad_task *task, nomad_error **err) try {
	const config *c = static_cast<const config *>(nomad_task_config(task));
	const std::string from = std::to_string(c->from);
	std::string words;

	for (size_t i = 0; i < c->labels.count; i++)
		words += std::string(c->labels.pairs[i].key) + " is " + c->labels.pairs[i].value + "\n";
	const char *const argv[] = { "/bin/sh", "-c", "printf %s \"$2\"; i=$1; while [ $i -ge 0 ]; do echo $i; i=$((i - 1)); done",
				     "countdown", from.c_str(), words.c_str(), nullptr };
	nomad_command command = nomad_command();
	command.argv = argv;
	return nomad_task_run(task, &command, err);
} catch (const std::exception &e) {
	return nomad_error_set(err, ENOMEM, "start the countdown: %s", e.what());
}

nomad_driver make_driver()
{
	nomad_driver d = nomad_driver();

	d.name = "countdown";
	d.version = "0.1.0";
	d.summary = "counts down, to show a driver in C++";
	d.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC;
	d.task_schema = &schema;
	d.fingerprint = fingerprint;
	d.start = start;
	return d;
}

} // namespace

int main(int argc, char **argv)
{
	const nomad_driver driver = make_driver();

	return nomad_plugin_main(argc, argv, &driver);
}
