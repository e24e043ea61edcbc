/**
 * An etcd of Debian's package, one member: its own data in a temporary folder, free ports on loopback, every commit
 * synced, all of it gone with the scope.
 */
import { Effect } from "effect"
import type { ChildProcess } from "node:child_process"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventually } from "../Eventually.ts"
import { freePorts } from "../FreePorts.ts"

export const howToInstall = "etcd is not here. On Debian: apt-get install -y etcd-server etcd-client"

export const isInstalled = (): boolean => {
  try {
    execFileSync("sh", ["-c", "command -v etcd && command -v etcdctl"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Certificates of a member, in a folder as FlareDB's nodes have one. It asks clients for one of the same authority. */
export interface EtcdCertificates {
  readonly folder: string
}

/** Characters of its log that a failure shows. */
const shownLog = 20_000

export class Etcd {
  /** The client URL. */
  readonly url: string
  private args: ReadonlyArray<string>
  private running: ChildProcess | undefined

  constructor(url: string, args: ReadonlyArray<string>) {
    this.url = url
    this.args = args
  }

  /** Starts it, with the data that it had. */
  readonly start = Effect.suspend(() => {
    let log = ""
    const running = spawn("etcd", this.args, { stdio: ["ignore", "ignore", "pipe"] })
    this.running = running
    running.stderr.on("data", (piece: Buffer) => {
      log = (log + piece.toString()).slice(-shownLog)
    })
    return eventually("etcd to serve", () => {
      if (running.exitCode !== null) throw new Error(`etcd ended with exit code ${running.exitCode}: ${log}`)
      return log.includes("ready to serve client requests")
    })
  })

  readonly kill = Effect.promise(async () => {
    const { running } = this
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const ended = once(running, "exit")
    running.kill("SIGKILL")
    await ended
  })

  /** Starts it again without some of its flags. */
  readonly restartWithout = (...flags: ReadonlyArray<string>) =>
    Effect.suspend(() => {
      this.args = this.args.filter((arg) => !flags.some((flag) => arg.startsWith(`--${flag}=`)))
      return Effect.andThen(this.kill, this.start)
    })

  /** One call of its gateway, without TLS. */
  post<A>(path: string, body: unknown): Promise<A> {
    return fetch(`${this.url}${path}`, { method: "POST", body: JSON.stringify(body) }).then(async (answer) => {
      const text = await answer.text()
      if (!answer.ok) throw new Error(text)
      return JSON.parse(text) as A
    })
  }
}

/** Starts one. */
export const start = Effect.fnUntraced(function*(certificates?: EtcdCertificates) {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-etcd-"))
  const [client, peer] = yield* freePorts(2)
  const url = `${certificates === undefined ? "http" : "https"}://127.0.0.1:${client}`
  const peerUrl = `http://127.0.0.1:${peer}`
  const args = Object.entries({
    name: "etcd",
    "data-dir": join(folder, "data"),
    "listen-peer-urls": peerUrl,
    "initial-advertise-peer-urls": peerUrl,
    "listen-client-urls": url,
    "advertise-client-urls": url,
    "initial-cluster": `etcd=${peerUrl}`,
    ...certificates === undefined ? {} : {
      "cert-file": join(certificates.folder, "node.crt"),
      "key-file": join(certificates.folder, "node.key"),
      "trusted-ca-file": join(certificates.folder, "ca.crt"),
      "client-cert-auth": "true"
    }
  }).map(([name, value]) => `--${name}=${value}`)
  const etcd = new Etcd(url, args)
  yield* Effect.addFinalizer(() =>
    Effect.andThen(etcd.kill, Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
  )
  yield* etcd.start
  return etcd
})
