/** What a process asked of the system, as `strace -f -y` writes it down. */
import { spawnSync } from "node:child_process"

/** One call: its beginning and, once it is known, its end. */
export interface Call {
  readonly name: string
  /** The files and directories in it, by the paths they had when it began. */
  readonly paths: ReadonlyArray<string>
  /** The arguments as they were written. */
  readonly text: string
  /** What it returned; a failure is negative, and so is a call that never ended. */
  result: number
}

/** Told of calls in their order. */
export interface Listener {
  readonly begin: (call: Call) => void
  /** The call has succeeded. */
  readonly end: (call: Call) => void
  /** The call has failed. */
  readonly fail: (call: Call) => void
}

const traced = [
  "open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,ftruncate,truncate,fallocate",
  "rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat,rmdir",
  "copy_file_range,io_uring_setup"
].join()

/** The command that runs another one and writes its calls to `path`. The process that is started is the other one's own. */
export const tracer = (path: string): ReadonlyArray<string> => [
  "strace",
  "-Dfyqq",
  "--string-limit=0",
  "--seccomp-bpf",
  `--trace=${traced}`,
  "--signal=none",
  `--output=${path}`
]

/** Why calls cannot be traced on this machine, and what to do about it. */
export const tracerMissing = (): string | undefined => {
  if (process.platform !== "linux") return "strace, and with it this test, needs Linux"
  const { error, status, stderr } = spawnSync(
    "strace",
    ["-D", "-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync", "-o", "/dev/null", process.execPath, "-e", ""],
    { encoding: "utf8" }
  )
  if (error !== undefined) return "there is no strace: apt-get install strace (or the like; 5.3 or later)"
  return status === 0 ? undefined : `strace does not work here; a container needs the right to trace: ${stderr.trim()}`
}

/** The paths in a call's arguments: strings that were given, relative to nothing, and files behind descriptors. */
const pathsIn = (name: string, text: string): ReadonlyArray<string> => {
  const strings = [...text.matchAll(/"((?:[^"\\]|\\.)*)"(?!\.\.\.)/g)].map(([, path]) => path as string)
  if (/^(open|creat|rename|unlink|link|symlink|mkdir|rmdir|truncate)/.test(name)) return strings
  return [...text.matchAll(/\d+<(\/[^>]*)>(?!\(deleted\))/g)].map(([, path]) => path as string)
}

const whole = /^(\d+) +(\w+)\((.*)\) += (-?\d+|\?)/
const started = /^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$/
const resumed = /^(\d+) +<\.\.\. (\w+) resumed>.*\) += (-?\d+|\?)/

/** Tells of every call in a trace. */
export const readTrace = (trace: string, { begin, end, fail }: Listener): void => {
  const open = new Map<string, Call>()
  const finish = (call: Call, result: string): void => {
    call.result = result === "?" ? -1 : Number(result)
    if (call.result >= 0) end(call)
    else if (result !== "?") fail(call)
  }
  const opened = (name: string, text: string): Call => {
    const call = { name, paths: pathsIn(name, text), text, result: -1 }
    begin(call)
    return call
  }
  for (const line of trace.split("\n")) {
    const all = whole.exec(line)
    if (all !== null) {
      finish(opened(all[2] as string, all[3] as string), all[4] as string)
      continue
    }
    const first = started.exec(line)
    if (first !== null) {
      open.set(first[1] as string, opened(first[2] as string, first[3] as string))
      continue
    }
    const last = resumed.exec(line)
    const call = last === null ? undefined : open.get(last[1] as string)
    if (last !== null && call !== undefined) {
      open.delete(last[1] as string)
      finish(call, last[3] as string)
    } else if (
      line !== "" && !/^\d+ +(\+\+\+|---|<\.\.\.)/.test(line) && !/<unfinished|<detached|resumed|\) += \?/.test(line)
    ) {
      throw new Error(`not understood in a trace: ${line.slice(0, 200)}`)
    }
  }
}
