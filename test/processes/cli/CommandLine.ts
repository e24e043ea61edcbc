/** The command line: a process for each call, as users run it. */
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { spawn as spawnProcess } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { connect } from "node:net"
import { cleanEnv, launcher } from "../../cluster/Flaredb.ts"

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: Uint8Array
}

/** A process of the command line that goes on until the scope ends or a signal comes. */
export const spawn = (args: ReadonlyArray<string>, { env = {}, stdin }: RunOptions = {}) =>
  ChildProcess.make(process.execPath, [launcher, ...args], {
    env: cleanEnv(env),
    extendEnv: true,
    stdin: stdin === undefined ? "ignore" : Stream.succeed(stdin),
    killSignal: "SIGTERM",
    forceKillAfter: "5 seconds"
  })

/** Runs `flaredb` with `args` to its end. */
export const run = (args: ReadonlyArray<string>, options: RunOptions = {}) =>
  Effect.scoped(
    Effect.gen(function*() {
      const handle = yield* spawn(args, options)
      const [out, err, code] = yield* Effect.all([
        Stream.mkString(Stream.decodeText(handle.stdout)),
        Stream.mkString(Stream.decodeText(handle.stderr)),
        handle.exitCode
      ], { concurrency: "unbounded" })
      return { code: Number(code), out, err }
    })
  )

/** Runs `flaredb` with its standard output at a file, or at a pipe whose reader has gone. */
export const runInto = (target: "/dev/full" | "a closed pipe", args: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: number | null; readonly err: string }>((resume) => {
    const file = target === "/dev/full" ? openSync(target, "w") : undefined
    const child = spawnProcess(process.execPath, [launcher, ...args], {
      env: { ...process.env, ...cleanEnv({}) },
      stdio: ["ignore", file ?? "pipe", "pipe"]
    })
    if (file !== undefined) closeSync(file)
    child.stdout?.destroy()
    let err = ""
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      err += text
    })
    child.once("close", (code) => resume(Effect.succeed({ code, err })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/**
 * Starts a node whose output nobody reads once it is ready, has it write log lines, and stops it. Tells whether it still
 * answered then, and its exit code.
 */
export const runUnread = (args: ReadonlyArray<string>, clientPort: number, httpPort: number) =>
  Effect.promise(async () => {
    const child = spawnProcess(process.execPath, [launcher, ...args], {
      env: { ...process.env, ...cleanEnv({}) },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
    await Promise.race([new Promise((resolve) => child.stdout.once("data", resolve)), ended])
    child.stdout.destroy()
    child.stderr.destroy()
    // A frame of a stranger is a line in the log; the port closes the connection.
    await new Promise<void>((resolve) => {
      const stranger = connect(clientPort, "127.0.0.1", () => stranger.write(new Uint8Array(64).fill(0xff)))
      stranger.on("error", () => undefined)
      stranger.once("close", () => resolve())
      stranger.resume()
    })
    const lives = await fetch(`http://127.0.0.1:${httpPort}/livez`).then(({ ok }) => ok, () => false)
    child.kill("SIGTERM")
    return { lives, code: await ended }
  })

/** What starts a cluster of one. */
export const startArgs = (ports: ReadonlyArray<number>, dataDir: string, ...more: ReadonlyArray<string>) => [
  "start",
  "--node-id",
  "1",
  "--nodes",
  `1=127.0.0.1:${ports.join(":")}`,
  "--data-dir",
  dataDir,
  ...more
]

/**
 * Starts a command, and waits for a line of either output that matches. `ended` gives the exit code once all lines have
 * been read: a process may be gone before they are.
 */
export const untilLine = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  pattern: RegExp,
  env: Readonly<Record<string, string>> = {}
) {
  const handle = yield* spawn(args, { env })
  const matched = yield* Deferred.make<void, Error>()
  const lines: Array<string> = []
  const reading = (from: typeof handle.stdout) =>
    from.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => {
        lines.push(line)
        return pattern.test(line) ? Deferred.succeed(matched, undefined) : Effect.void
      }),
      Effect.ignore
    )
  const out = Effect.all([reading(handle.stdout), reading(handle.stderr)], { concurrency: "unbounded" })
  const read = yield* Effect.forkScoped(
    Effect.andThen(out, Effect.suspend(() => Deferred.fail(matched, new Error(`it ended: ${lines.join("\n")}`))))
  )
  yield* Deferred.await(matched)
  const ended = Effect.exit(handle.exitCode).pipe(
    Effect.tap(() => Fiber.await(read)),
    // A signal has no exit code.
    Effect.map((exit) => Exit.isSuccess(exit) ? Number(exit.value) : undefined)
  )
  return { handle, lines, ended }
})
