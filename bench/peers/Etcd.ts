/** A three-node etcd on this machine, as its package runs it: every commit synced, fresh data, gone with the scope. */
import { Effect, Schedule } from "effect"
import type { ChildProcess } from "node:child_process"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { freePorts } from "../../test/FreePorts.ts"
import type { Plan } from "../../src/cli/bench/Plan.ts"

/** What of a measurement both systems have. Times are milliseconds. */
export interface PeerResult {
  readonly perSecond: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly errors: number
}

export const howToInstall =
  "etcd is not here to be measured. On Debian: apt-get install -y etcd-server golang-go golang-etcd-server-dev"

const installed = (program: string): boolean => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Whether everything that is needed is installed. */
export const isInstalled = (): boolean =>
  installed("etcd") && installed("go") && existsSync("/usr/share/gocode/src/go.etcd.io/etcd/clientv3")

const source = fileURLToPath(new URL("./etcd-load.go", import.meta.url))

/** The load generator, built when it is not there or older than its source. */
export const buildLoad = (): string => {
  const cache = fileURLToPath(new URL("../../node_modules/.cache/flaredb", import.meta.url))
  const program = join(cache, "etcd-load")
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program
  mkdirSync(cache, { recursive: true })
  execFileSync("go", ["build", "-o", program, source], {
    env: { ...process.env, GO111MODULE: "off", GOPATH: "/usr/share/gocode" },
    stdio: ["ignore", "inherit", "inherit"]
  })
  return program
}

interface Member {
  readonly client: string
  readonly process: ChildProcess
}

export interface Etcd {
  readonly members: ReadonlyArray<Member>
  /** Endpoints, the leader's first. */
  readonly endpoints: Effect.Effect<ReadonlyArray<string>, Error>
}

/** Whether the member behind this address leads. */
const leads = (client: string): Effect.Effect<boolean, Error> =>
  Effect.tryPromise({
    try: async () => {
      const answer = await fetch(`${client}/v3/maintenance/status`, { method: "POST", body: "{}" })
      const { header, leader } = await answer.json() as {
        readonly leader?: string
        readonly header: { readonly member_id: string }
      }
      return leader === header.member_id
    },
    catch: (cause) => new Error(`${client}: ${String(cause)}`)
  })

/** Writes a key over the member's HTTP gateway; fails unless it was committed. */
export const put = (client: string, key: string, value: string): Effect.Effect<void, Error> =>
  Effect.tryPromise({
    try: async (signal) => {
      const base64 = (text: string) => Buffer.from(text).toString("base64")
      const body = JSON.stringify({ key: base64(key), value: base64(value) })
      const answer = await fetch(`${client}/v3/kv/put`, { method: "POST", body, signal })
      const text = await answer.text()
      if (!answer.ok) throw new Error(text)
    },
    catch: (cause) => new Error(`${client}: ${String(cause)}`)
  })

/** `flags` may set other time-outs: what etcd has by default are 100 and 1000 ms. */
export const start = Effect.fnUntraced(function*(flags: Readonly<Record<string, number>> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-etcd-"))
  const ports = yield* freePorts(6)
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const cluster = [1, 2, 3].map((i) => `n${i}=${urls[i + 2]}`).join(",")
  const members = yield* Effect.acquireRelease(
    Effect.sync(() =>
      [1, 2, 3].map((i): Member => {
        const [client = "", peer = ""] = [urls[i - 1], urls[i + 2]]
        const args = Object.entries({
          name: `n${i}`,
          "data-dir": join(folder, `n${i}`),
          "log-level": "error",
          "listen-peer-urls": peer,
          "initial-advertise-peer-urls": peer,
          "listen-client-urls": client,
          "advertise-client-urls": client,
          "initial-cluster": cluster,
          "initial-cluster-state": "new",
          "initial-cluster-token": "bench",
          "quota-backend-bytes": 8 * 2 ** 30,
          ...flags
        }).map(([name, value]) => `--${name}=${value}`)
        return { client, process: spawn("etcd", args, { stdio: "ignore" }) }
      })
    ),
    (all) =>
      Effect.promise(async () => {
        for (const { process: running } of all) {
          if (running.exitCode !== null || running.signalCode !== null) continue
          const exit = once(running, "exit")
          running.kill("SIGKILL")
          await exit
        }
        rmSync(folder, { recursive: true, force: true })
      })
  )
  const endpoints = Effect.gen(function*() {
    const alive = members.filter(({ process: running }) => running.exitCode === null && running.signalCode === null)
    const leading = yield* Effect.forEach(alive, ({ client }) => leads(client))
    const at = leading.indexOf(true)
    if (at < 0) return yield* Effect.fail(new Error("no member leads"))
    const clients = alive.map(({ client }) => client)
    return [clients[at] as string, ...clients.filter((_, i) => i !== at)]
  })
  yield* Effect.retry(endpoints, { schedule: Schedule.spaced(50), times: 600 })
  return { members, endpoints } satisfies Etcd
})

/** Measures one point with etcd's own client. */
export const load = (program: string, etcd: Etcd, plan: Plan): Effect.Effect<PeerResult, Error> =>
  Effect.flatMap(etcd.endpoints, (endpoints) =>
    Effect.tryPromise({
      try: async () => {
        const operation = plan.operation === "stale-get" ? "sget" : plan.operation
        const args = Object.entries({
          endpoints: endpoints.join(","),
          conns: plan.connections,
          clients: plan.clients,
          d: `${plan.measureMs}ms`,
          warmup: `${plan.warmUpMs}ms`,
          op: operation,
          size: plan.valueBytes,
          keys: plan.keys
        }).map(([name, value]) => `-${name}=${value}`)
        const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] })
        let out = ""
        child.stdout.on("data", (chunk: Buffer) => {
          out += chunk.toString()
        })
        await once(child, "close")
        const result = JSON.parse(out) as {
          readonly opsPerSec: number
          readonly p50ms: number
          readonly p95ms: number
          readonly p99ms: number
          readonly errors: number
        }
        return {
          perSecond: result.opsPerSec,
          p50: result.p50ms,
          p95: result.p95ms,
          p99: result.p99ms,
          errors: result.errors
        }
      },
      catch: (cause) => new Error(`the load on etcd failed: ${String(cause)}`)
    }))
