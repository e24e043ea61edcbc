/** The command line from its sources: a process for each call, as users run it, without a build before. */
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { cleanEnv } from "../cluster/Flaredb.ts"

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: Uint8Array
}

/** A process of the command line that goes on until the scope ends or a signal comes. */
export const spawn = (args: ReadonlyArray<string>, { env = {}, stdin }: RunOptions = {}) =>
  ChildProcess.make(process.execPath, ["src/bin/flaredb.ts", ...args], {
    env: cleanEnv({ NODE_COMPILE_CACHE: "node_modules/.cache/flaredb-bin", ...env }),
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
