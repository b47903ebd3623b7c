// SPDX-License-Identifier: MPL-2.0
//! A driver in Rust on the C interface: its tasks print the wisdom of their jobs.  The structs have the first fields of
//! those in nomad/*.h; the driver passes their sizes, and the library reads the missing fields as 0.
use std::ffi::{CStr, CString};
use std::mem::size_of;
use std::os::raw::{c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};

macro_rules! c { ($s:literal) => { concat!($s, "\0").as_ptr() as *const c_char } }

#[repr(C)]
struct Abi {
    size: usize,
    version: c_uint,
    driver: usize,
    schema: usize,
    option: usize,
    power: usize,
    command: usize,
}

#[repr(C)]
struct Opt {
    name: *const c_char,
    kind: c_int,
    offset: usize,
    required: bool,
    secret: bool,
    deprecated: bool,
    non_empty: bool,
    def: *const c_char,
    choices: *const *const c_char,
    min: i64,
    max: i64,
    max_items: u32,
    unit: *const c_char,
    help: *const c_char,
}

#[repr(C)]
struct Schema {
    options: *const Opt,
    count: usize,
    size: usize,
}

#[repr(C)]
struct Command(*const *const c_char);

type Err = *mut c_void; // struct nomad_error *

#[repr(C)]
struct Driver {
    name: *const c_char,
    version: *const c_char,
    summary: *const c_char,
    capabilities: c_uint,
    fs_isolation: c_int,
    fingerprint_interval_s: c_uint,
    config_schema: *const Schema,
    task_schema: *const Schema,
    init: *const c_void,
    fini: *const c_void,
    fingerprint: extern "C" fn(*mut c_void, *mut c_void),
    start: extern "C" fn(*mut c_void, *mut Err) -> c_int,
}

extern "C" {
    fn nomad_plugin_main_abi(argc: c_int, argv: *const *const c_char, driver: *const Driver, abi: *const Abi) -> c_int;
    fn nomad_fp_string(fp: *mut c_void, key: *const c_char, value: *const c_char);
    fn nomad_task_config(task: *const c_void) -> *const Config;
    fn nomad_task_run(task: *mut c_void, command: *const Command, err: *mut Err) -> c_int;
    fn nomad_error_set(err: *mut Err, errnum: c_int, fmt: *const c_char, ...) -> c_int;
}

/// What a job says, as the library fills it.
#[repr(C)]
struct Config {
    wisdom: *const c_char,
}

const NOMAD_STRING: c_int = 0;
const NOMAD_CAN_EXEC: c_uint = 1 << 1;
const EINVAL: c_int = 22;

extern "C" fn fingerprint(_plugin: *mut c_void, fp: *mut c_void) {
    unsafe { nomad_fp_string(fp, c!("language"), c!("rust")) }
}

extern "C" fn start(task: *mut c_void, err: *mut Err) -> c_int {
    let wisdom = unsafe { CStr::from_ptr((*nomad_task_config(task)).wisdom) };
    if wisdom.to_bytes().ends_with(b"?") {
        return unsafe { nomad_error_set(err, EINVAL, c!("print '%s': a question is not wisdom"), wisdom.as_ptr()) };
    }
    let argv = [c!("/bin/echo"), wisdom.as_ptr(), null()];
    unsafe { nomad_task_run(task, &Command(argv.as_ptr()), err) }
}

fn main() {
    let option = Opt {
        name: c!("wisdom"), kind: NOMAD_STRING, offset: 0, required: true, secret: false, deprecated: false,
        non_empty: true, def: null(), choices: null(), min: 0, max: 0, max_items: 0, unit: null(),
        help: c!("What the task prints."),
    };
    let schema = Schema { options: &option, count: 1, size: size_of::<Config>() };
    let driver = Driver {
        name: c!("fortune"), version: c!("0.1.0"), summary: c!("prints wisdom, in Rust"),
        capabilities: NOMAD_CAN_EXEC, fs_isolation: 0, fingerprint_interval_s: 0, config_schema: null(),
        task_schema: &schema, init: null_mut(), fini: null_mut(), fingerprint, start,
    };
    let abi = Abi {
        size: size_of::<Abi>(), version: 1000, driver: size_of::<Driver>(), schema: size_of::<Schema>(),
        option: size_of::<Opt>(), power: 1, command: size_of::<Command>(),
    };
    let args: Vec<CString> = std::env::args().map(|a| CString::new(a).unwrap()).collect();
    let argv: Vec<*const c_char> = args.iter().map(|a| a.as_ptr()).chain([null()]).collect();
    std::process::exit(unsafe { nomad_plugin_main_abi(args.len() as c_int, argv.as_ptr(), &driver, &abi) });
}
