/**
 * Stands in for `systemctl` on a machine of namespaces, where systemd does not run: it carries out what units in
 * `/etc/systemd/system` say of users, environment, commands, directories and restarts. What they say of hardening is
 * held by `systemd-analyze` (`systemd.test.ts`).
 *
 * `systemctl start|stop|restart|reload|enable [--now]|kill --signal=SIGNAL|is-active|daemon-reload UNIT`
 */
import type { ChildProcess } from "node:child_process"
import { spawn, spawnSync } from "node:child_process"
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { parseEnv } from "node:util"

const units = "/etc/systemd/system"
const state = "/run/units"

interface Unit {
  readonly name: string
  /** The values of a directive, in order; an empty one takes back those before. */
  readonly all: (directive: string) => ReadonlyArray<string>
  readonly one: (directive: string) => string | undefined
}

const fail = (message: string): never => {
  process.stderr.write(`systemctl: ${message}\n`)
  process.exit(1)
}

const read = (given: string): Unit => {
  const name = given.endsWith(".service") ? given : `${given}.service`
  const [, prefix = "", instance = "", kind = ""] = /^([^@]+)(?:@(.*))?\.(\w+)$/.exec(name) ?? []
  const file = `${units}/${prefix}${name.includes("@") ? "@" : ""}.${kind}`
  if (!existsSync(file)) fail(`Unit ${name} not found.`)
  const lines = readFileSync(file, "utf8").split("\n").filter((line) => /^\w+=/.test(line))
    .map((line) => line.replaceAll("%i", instance))
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const)
  const all = (directive: string) => lines.filter(([key]) => key === directive).map(([, value]) => value)
  return { name, all, one: (directive) => all(directive).at(-1) }
}

const environment = (unit: Unit): Record<string, string> => {
  const given = unit.all("Environment").map((text) => text.replace(/^"(.*)"$/, "$1"))
    .map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)] as const)
  const files = unit.all("EnvironmentFile").map((file) =>
    parseEnv(readFileSync(file, "utf8")) as Record<string, string>
  )
  return Object.assign({ PATH: "/usr/local/bin:/usr/bin:/bin" }, Object.fromEntries(given), ...files)
}

const pidFile = (unit: Unit, what: "main" | "supervisor") => `${state}/${unit.name}.${what}`
const logFile = (unit: Unit) => `${state}/${unit.name}.log`

/** Puts a process in its file in one step: half a number would be another process, and none the whole group. */
const writePid = (unit: Unit, what: "main" | "supervisor", pid: number | undefined) => {
  const file = pidFile(unit, what)
  writeFileSync(`${file}.partial`, String(pid))
  renameSync(`${file}.partial`, file)
}

/** One that has ended is none, also before its parent knows: systemd says of such that it is not active. */
const pidOf = (unit: Unit, what: "main" | "supervisor"): number | undefined => {
  try {
    const pid = Number(readFileSync(pidFile(unit, what), "utf8"))
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8")) ? undefined : pid
  } catch {
    return undefined
  }
}

const makeDirectories = (unit: Unit) => {
  for (const [directive, root] of [["StateDirectory", "/var/lib"], ["RuntimeDirectory", "/run"]] as const) {
    for (const name of unit.all(directive)) {
      spawnSync("install", [
        "--directory",
        `--owner=${unit.one("User")}`,
        `--group=${unit.one("Group")}`,
        `--mode=${unit.one(`${directive}Mode`) ?? "0755"}`,
        `${root}/${name}`
      ])
    }
  }
}

/** The unit's own command line as its user, with its limits. */
const spawnMain = (unit: Unit) => {
  const [user, group] = [unit.one("User") ?? "root", unit.one("Group") ?? "root"]
  const limits = `umask ${unit.one("UMask") ?? "0022"}; ulimit -n ${unit.one("LimitNOFILE") ?? "1024"}; exec "$@"`
  const log = openSync(logFile(unit), "a")
  const identity = [`--reuid=${user}`, `--regid=${group}`, "--init-groups", "--no-new-privs", "--bounding-set=-all"]
  const command = (unit.one("ExecStart") ?? fail("no ExecStart")).split(" ")
  const child = spawn("setpriv", [...identity, "sh", "-c", limits, "sh", ...command], {
    env: environment(unit),
    cwd: unit.one("WorkingDirectory") ?? "/",
    stdio: ["ignore", log, log]
  })
  closeSync(log)
  writePid(unit, "main", child.pid)
  return child
}

/** Starts the command again as `Restart=on-failure` says, until it is stopped. */
const supervise = (unit: Unit) => {
  let stopping = false
  let running: ChildProcess | undefined
  // From before there is a command: a supervisor that ended by the signal would leave it behind.
  process.on("SIGTERM", () => {
    stopping = true
    if (running === undefined) process.exit(0)
    running.kill("SIGTERM")
  })
  const run = () => {
    const child = running = spawnMain(unit)
    child.once("exit", (code, signal) => {
      running = undefined
      rmSync(pidFile(unit, "main"), { force: true })
      const failed = signal !== null || (code !== 0 && String(code) !== unit.one("RestartPreventExitStatus"))
      if (stopping || !failed || unit.one("Restart") !== "on-failure") process.exit(0)
      setTimeout(run, 1_000 * Number(unit.one("RestartSec") ?? 0.1))
    })
  }
  run()
}

const pause = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)

const start = (unit: Unit) => {
  mkdirSync(state, { recursive: true })
  makeDirectories(unit)
  if (pidOf(unit, "supervisor") !== undefined) return
  const supervisor = spawn(process.execPath, [...process.execArgv, import.meta.filename, "supervise", unit.name], {
    detached: true,
    stdio: "ignore"
  })
  writePid(unit, "supervisor", supervisor.pid)
  supervisor.unref()
  // As `Type=exec` does, it returns once the program is there.
  while (pidOf(unit, "main") === undefined && pidOf(unit, "supervisor") !== undefined) pause()
}

const stop = (unit: Unit) => {
  const pid = pidOf(unit, "supervisor")
  if (pid === undefined) return
  process.kill(pid, "SIGTERM")
  while (pidOf(unit, "supervisor") !== undefined) pause()
}

const main = (unit: Unit) => pidOf(unit, "main") ?? fail(`${unit.name} is not active`)

const [verb, ...rest] = process.argv.slice(2)
const options = rest.filter((word) => word.startsWith("--"))
const named = rest.filter((word) => !word.startsWith("--")).map(read)

if (verb === "daemon-reload") process.exit(0)
if (named.length === 0) fail("no unit is named")
for (const unit of named) {
  switch (verb) {
    case "supervise":
      supervise(unit)
      break
    case "enable":
      if (options.includes("--now")) start(unit)
      break
    case "start":
      start(unit)
      break
    case "stop":
      stop(unit)
      break
    case "restart":
      stop(unit)
      start(unit)
      break
    case "reload":
      process.kill(main(unit), "SIGHUP")
      break
    case "kill":
      process.kill(main(unit), `SIG${options[0]?.replace("--signal=", "")}`)
      break
    case "is-active":
      process.stdout.write(pidOf(unit, "main") === undefined ? "inactive\n" : "active\n")
      process.exit(pidOf(unit, "main") === undefined ? 3 : 0)
      break
    default:
      fail(`the test's systemctl has no ${verb}`)
  }
}
