/** Backups into what is no file: standard output, a named pipe, a device. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { execFile, execFileSync, spawn } from "node:child_process"
import { constants, lstatSync, readdirSync } from "node:fs"
import { open } from "node:fs/promises"
import * as Cluster from "./Cluster.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"

/** A line of a shell, with `flaredb` in it. */
const shell = (line: string, env: Readonly<Record<string, string>>, cwd: string) =>
  Effect.promise(() =>
    new Promise<{ readonly code: number; readonly out: string; readonly err: string }>((resolve) => {
      const flaredb = `flaredb() { '${process.execPath}' '${process.cwd()}/${launcher}' "$@"; }`
      const all = { ...process.env, ...cleanEnv(env) }
      execFile("bash", ["-c", `${flaredb}; ${line}`], { env: all, cwd }, (error, out, err) =>
        resolve({ code: typeof error?.code === "number" ? error.code : 0, out, err }))
    })
  )

it.live(
  "backup writes to standard output, pipes and devices, and leaves no file beside them",
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(1)
      yield* Cluster.start(cluster)
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-pipes-" })
      const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
      yield* run(["put", "greeting", "hello"], { env })
      const whole = (name: string) => run(["restore", `${folder}/${name}`, "--dry-run"])
      const quiet = { code: 0, out: "", err: "" }

      assert.deepStrictEqual(yield* shell("flaredb backup - > dash", env, folder), quiet)
      assert.match((yield* whole("dash")).out, /dash is whole: cluster test at revision 1 /)
      assert.deepStrictEqual(yield* shell("flaredb backup /dev/stdout | cat > link", env, folder), quiet)
      assert.strictEqual((yield* whole("link")).code, 0)

      execFileSync("mkfifo", [`${folder}/pipe`])
      const piped = yield* shell("cat pipe > read & flaredb backup pipe; wait", env, folder)
      assert.match(piped.out, /^pipe: cluster test at revision 1 /, piped.err)
      assert.isTrue(lstatSync(`${folder}/pipe`).isFIFO(), "the pipe is still one")
      assert.strictEqual((yield* whole("read")).code, 0)

      const full = yield* shell("flaredb backup - > /dev/full", env, folder)
      assert.strictEqual(full.code, 1)
      assert.match(full.err, /standard output cannot be written: its file system is full \(ENOSPC\)/)
      assert.strictEqual((yield* run(["backup", "/dev/full"], { env })).code, 1)
      const cut = yield* shell("flaredb backup - | head -c 100 > cut", env, folder)
      assert.strictEqual(cut.code, 0, cut.err)
      assert.match((yield* whole("cut")).err, /cannot be used as a backup/)
      const nowhere = yield* run(["backup", `${folder}/none/state`], { env })
      assert.match(nowhere.err, /the folder [^ ]*none does not exist; make it first/)
      assert.deepStrictEqual(readdirSync(folder).sort(), ["cut", "dash", "link", "pipe", "read"])

      const twice = yield* shell("flaredb restore /dev/stdin --dry-run < <(cat dash)", env, folder)
      assert.strictEqual(twice.code, 1)
      assert.match(twice.err, /it is a named pipe, and a backup is read twice; save it to a file/)

      // It has ended but for its output, of which its reader takes the first byte.
      yield* run(["put", "large", "-"], { env, stdin: "x".repeat(500_000) })
      const pipe = yield* Effect.promise(() => open(`${folder}/pipe`, constants.O_RDWR))
      const child = spawn(process.execPath, [launcher, "get", "large"], {
        env: { ...process.env, ...cleanEnv(env) },
        stdio: ["ignore", pipe.fd, "ignore"]
      })
      const ended = new Promise<unknown>((resolve) => child.once("close", (code, signal) => resolve(code ?? signal)))
      yield* Effect.promise(() => pipe.read(Buffer.alloc(1), 0, 1, null))
      child.kill("SIGTERM")
      // Eight seconds later it would kill itself.
      assert.strictEqual(yield* Effect.promise(() => ended), 130)
      yield* Effect.promise(() => pipe.close())
    }).pipe(Effect.provide(NodeServices.layer)),
  300_000
)
