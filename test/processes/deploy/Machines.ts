/**
 * Machines made of namespaces: each has a network with one address, its own processes, and its own `/etc`, `/var/lib`,
 * `/opt` and home. They share the kernel and the programs, and nothing of what they write reaches the system. All of
 * a machine ends with the scope, or when the test's process is gone.
 */
import { Effect, FileSystem } from "effect"
import type { ChildProcess } from "node:child_process"
import { execFile, spawn, spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../..")

/** Why machines cannot be made here; nothing when they can. */
export const whyNot = (): string | undefined => {
  if (process.platform !== "linux") return "it takes Linux"
  if (process.getuid?.() !== 0) return "it takes root"
  const tools = ["unshare", "nsenter", "setpriv", "runuser", "ip", "flock", "curl", "useradd"]
  const missing = tools.filter((tool) => spawnSync("which", [tool]).status !== 0)
  if (missing.length > 0) return `there is no ${missing.join(", ")} (on Debian: util-linux, iproute2, curl, passwd)`
  const unreadable = [root, join(root, "dist/cli/flaredb.js")].filter((path) => (statSync(path).mode & 0o004) === 0)
  if (unreadable.length > 0) return `other users, as that of the service, may not read ${unreadable.join(", ")}`
  const script = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w && " +
    "mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w overlay /etc"
  const tried = spawnSync("unshare", ["--mount", "--net", "--pid", "--uts", "--fork", "sh", "-c", script])
  return tried.status === 0 ? undefined : "namespaces are not permitted"
}

export interface Ran {
  readonly code: number
  /** Both outputs. */
  readonly printed: string
}

export interface Machine {
  readonly address: string
  /** Runs lines of bash there as root; a line that fails ends them. */
  readonly run: (lines: string, env?: Readonly<Record<string, string>>) => Effect.Effect<Ran>
}

/** Own copies of what a machine writes to; the repository is in `/opt/flaredb`, as it is on a machine of a user. */
const setup = (folder: string, shared: string, address: string) =>
  `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "${folder}"
for place in /etc /var/lib /opt /usr/local/bin; do
  mkdir -p "${folder}$place/upper" "${folder}$place/work"
  mount -t overlay -o "lowerdir=$place,upperdir=${folder}$place/upper,workdir=${folder}$place/work" overlay "$place"
done
rm -rf /etc/flaredb /opt/flaredb
mkdir -p /opt/flaredb /etc/systemd/system
mount --bind "${root}" /opt/flaredb
mount --bind "${shared}/${address}" /root
mount -t tmpfs tmpfs /run
echo READY
# The shell stays, as the first process of the machine: it reaps what other processes leave.
cat
exit 0`

/** The first line of a process, or its end. */
const ready = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    let errors = ""
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      errors += text
    })
    child.stdout?.once("data", () => resume(Effect.void))
    child.once("exit", () => resume(Effect.die(new Error(`a machine did not start: ${errors}`))))
  })

/** Namespaces that end with their `cat`, which ends with the pipe to this process. `from` sees what they begin with. */
const namespaces = Effect.fnUntraced(function*(flags: ReadonlyArray<string>, script: string, from = process.pid) {
  const args = ["-t", String(from), "--mount", "unshare", ...flags, "bash", "-c", script]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("nsenter", args, { stdio: ["pipe", "pipe", "pipe"] })),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.stdin.end()
      })
  )
  yield* ready(child)
  const pid = child.pid as number
  // With a namespace of processes it is the child of `unshare` that is in it.
  const [inner] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
  return inner === undefined || inner === "" ? pid : Number(inner)
})

const must = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.sync(() => {
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8" })
    if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`)
  })

/** Programs that a machine has beside those of the system. `scp` copies to the home of another machine's root. */
const programs = (shared: string): Readonly<Record<string, string>> => ({
  systemctl: `exec /opt/flaredb/node_modules/.bin/node /opt/flaredb/test/processes/deploy/systemctl.ts "$@"`,
  journalctl: `while [ "$1" != --unit ]; do shift; done; exec cat "/run/units/$2.service.log"`,
  scp: `set -e
recursive=
[ "$1" != -r ] || { recursive=-r; shift; }
for target; do :; done
host=\${target#root@}; host=\${host%%:*}; path=\${target#*:}
while [ $# -gt 1 ]; do cp $recursive "$1" "${shared}/$host/\${path#/root/}"; shift; done`
})

/** Makes machines with these addresses in one network. */
export const make = Effect.fnUntraced(function*(addresses: ReadonlyArray<string>) {
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-machines-" })
  const shared = `${folder}/homes`
  const bin = `${folder}/bin`
  // What the machines have lies in a file system that they alone see. In a folder of /tmp, who tidies that up takes
  // homes away with what they hold: certificates that were made minutes ago are "not there" then.
  const network = yield* namespaces(
    ["--net", "--mount"],
    `mount --make-rprivate / && mount -t tmpfs -o mode=755 tmpfs "${folder}"
ip link add lan type bridge && ip link set lan up && echo READY && exec cat`
  )
  const inside = (path: string) => `/proc/${network}/root${path}`
  mkdirSync(inside(bin))
  for (const [name, script] of Object.entries(programs(shared))) {
    writeFileSync(inside(`${bin}/${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
  const inNetwork = (pid: number, ...args: ReadonlyArray<string>) =>
    must("nsenter", "-t", String(pid), "-n", "ip", ...args)
  return yield* Effect.forEach(addresses, (address, i) =>
    Effect.gen(function*() {
      const own = `${folder}/machine-${i}`
      for (const path of [own, `${shared}/${address}`]) mkdirSync(inside(path), { recursive: true })
      const pid = yield* namespaces(
        ["--mount", "--net", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"],
        setup(own, shared, address),
        network
      )
      const port = ["link", "add", `port${i}`, "type", "veth", "peer", "name", "eth0", "netns", String(pid)]
      yield* inNetwork(network, ...port)
      yield* inNetwork(network, "link", "set", `port${i}`, "master", "lan", "up")
      yield* inNetwork(pid, "address", "add", `${address}/24`, "dev", "eth0")
      for (const link of ["lo", "eth0"]) yield* inNetwork(pid, "link", "set", link, "up")
      const enter = ["-t", String(pid), "--mount", "--net", "--pid", "--uts", "--wdns=/root", "bash", "-c"]
      const run: Machine["run"] = (lines, env = {}) =>
        Effect.callback((resume) => {
          const child = execFile(
            "nsenter",
            [...enter, `exec 2>&1\nset -euo pipefail\n${lines}`],
            {
              // Four times the default time-out, for a system that is busy.
              env: {
                HOME: "/root",
                FLAREDB_TIMEOUT_MS: "20000",
                PATH: `${bin}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
                ...env
              },
              maxBuffer: 16 * 1024 * 1024
            },
            (error, printed) => resume(Effect.succeed({ code: error === null ? 0 : Number(error.code ?? 1), printed }))
          )
          return Effect.sync(() => child.kill("SIGKILL"))
        })
      return { address, run } satisfies Machine
    }))
})
