/**
 * A PostgreSQL of Debian's package for the length of a scope: its own data in a temporary folder, a free port on
 * loopback, every commit synced. It runs as an unprivileged user, because PostgreSQL refuses to run as root.
 */
import { Effect, Schedule } from "effect"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePorts } from "../FreePorts.ts"

export const howToInstall = "PostgreSQL is not here, or no user to run it. On Debian: apt-get install -y postgresql-15"

const versions = "/usr/lib/postgresql"

/** Where the newest installed server's programs are. */
const programs = (): string | undefined => {
  if (!existsSync(versions)) return undefined
  const newest = readdirSync(versions).filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(b) - Number(a))[0]
  return newest === undefined ? undefined : join(versions, newest, "bin")
}

const idOf = (flag: "-u" | "-g"): number | undefined => {
  const { status, stdout } = spawnSync("id", [flag, "postgres"], { encoding: "utf8" })
  return status === 0 ? Number(stdout) : undefined
}

/** Who runs it: whoever this is, unless that is root. */
const account = (): { readonly uid: number; readonly gid: number } | undefined => {
  const [uid, gid] = process.getuid?.() === 0 ? [idOf("-u"), idOf("-g")] : [process.getuid?.(), process.getgid?.()]
  return uid === undefined || gid === undefined ? undefined : { uid, gid }
}

export const isInstalled = (): boolean => existsSync(join(programs() ?? "", "initdb")) && account() !== undefined

export interface Postgres {
  readonly host: "127.0.0.1"
  readonly port: number
  readonly username: string
  readonly pid: number
  readonly dataDir: string
  /** Makes an empty database and gives its name. */
  readonly database: (name: string) => Effect.Effect<string>
}

/** What differs from PostgreSQL's defaults, which are for a small machine of 2005. Durability is left on. */
const settings: Readonly<Record<string, string>> = {
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  max_connections: "200",
  shared_buffers: "256MB",
  wal_buffers: "16MB",
  max_wal_size: "2GB",
  effective_cache_size: "1GB",
  random_page_cost: "1.1"
}

export const start = Effect.acquireRelease(
  Effect.gen(function*() {
    const [bin, runAs, [port = 0]] = [programs(), account(), yield* freePorts(1)]
    if (bin === undefined || runAs === undefined) return yield* Effect.die(new Error(howToInstall))
    const dataDir = mkdtempSync(join(tmpdir(), "flaredb-postgres-"))
    chownSync(dataDir, runAs.uid, runAs.gid)
    const username = "actors"
    const common = { ...runAs, cwd: dataDir, env: { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" } }
    execFileSync(
      join(bin, "initdb"),
      // What it creates need not outlive the machine, and is a thousand files. The server syncs every commit.
      ["-D", join(dataDir, "data"), "-U", username, "-A", "trust", "-E", "UTF8", "--no-instructions", "--no-sync"],
      { ...common, stdio: "ignore" }
    )
    const server = spawn(
      join(bin, "postgres"),
      [
        "-D",
        join(dataDir, "data"),
        "-p",
        String(port),
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
      ],
      { ...common, stdio: "ignore" }
    )
    const isReady = Effect.suspend(() =>
      server.exitCode !== null
        ? Effect.die(new Error(`PostgreSQL ended with exit code ${server.exitCode}`))
        : spawnSync(join(bin, "pg_isready"), ["-h", "127.0.0.1", "-p", String(port)]).status === 0
        ? Effect.void
        : Effect.fail("not ready")
    )
    yield* isReady.pipe(
      Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: "2 minutes" }))),
      Effect.orDie
    )
    const postgres: Postgres = {
      host: "127.0.0.1",
      port,
      username,
      pid: server.pid ?? 0,
      dataDir,
      database: (name) =>
        Effect.sync(() => {
          execFileSync(join(bin, "createdb"), ["-h", "127.0.0.1", "-p", String(port), "-U", username, name], common)
          return name
        })
    }
    return { postgres, server }
  }),
  ({ postgres, server }) =>
    Effect.promise(async () => {
      if (server.exitCode === null) {
        const ended = once(server, "exit")
        // SIGINT is its fast shutdown: it waits for no client.
        server.kill("SIGINT")
        await ended
      }
      rmSync(postgres.dataDir, { recursive: true, force: true })
    })
).pipe(Effect.map(({ postgres }) => postgres))
