/** The command line as a user runs it: one process for each call, its output and its exit code. */
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { processSettings } from "../../src/cli/launch/ProcessSettings.ts"
import { waitMs } from "../Eventually.ts"

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** The package's launcher, under the Node that runs the tests. */
export const launcher = "bin/flaredb.js"

/** Environment of every process of a test: none of the developer's own settings. */
export const cleanEnv = (env: Readonly<Record<string, string>>): Record<string, string | undefined> => {
  const clean: Record<string, string | undefined> = {}
  for (const name of Object.keys(process.env)) {
    if (name.startsWith("FLAREDB_") || name === "VITEST" || name === "NODE_ENV") clean[name] = undefined
  }
  // The launcher would otherwise start twice to set these.
  return { ...clean, ...processSettings(process.env), NO_COLOR: "1", ...env }
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

/** Runs `flaredb` with `args` to its end. Dies shortly before the test's own end, and says what it has printed so far. */
export const run = (args: ReadonlyArray<string>, options: RunOptions = {}) =>
  Effect.scoped(
    Effect.gen(function*() {
      const handle = yield* ChildProcess.make(process.execPath, [launcher, ...args], {
        // Four times the default, for a machine that is busy.
        env: cleanEnv({ FLAREDB_TIMEOUT_MS: "20000", ...options.env }),
        extendEnv: true,
        stdin: options.stdin === undefined ? "ignore" : Stream.succeed(new TextEncoder().encode(options.stdin)),
        forceKillAfter: "5 seconds"
      })
      const printed = { out: "", err: "" }
      const keep = (name: "out" | "err", stream: typeof handle.stdout) =>
        Stream.runForEach(Stream.decodeText(stream), (text) =>
          Effect.sync(() => {
            printed[name] += text
          }))
      const ended = Effect.all([keep("out", handle.stdout), keep("err", handle.stderr), handle.exitCode], {
        concurrency: "unbounded"
      })
      const [, , code] = yield* Effect.timeoutOrElse(ended, {
        duration: waitMs(),
        orElse: () => Effect.die(new Error(`flaredb ${args.join(" ")} has not ended; it printed ${show(printed)}`))
      })
      return { code, ...printed } satisfies Ran
    })
  )

const show = ({ err, out }: { readonly out: string; readonly err: string }): string =>
  `${JSON.stringify(out)} and, on standard error, ${JSON.stringify(err)}`
