/**
 * The command line in the process of the test, for tables of hundreds of calls. A process takes a quarter of a second
 * to load what each of them needs. Left out is what `bin/flaredb.js` and `src/cli/flaredb.ts` add: the bytes of
 * arguments, signals, what kind of file standard input is, the mode of files, and the settings of a node's process. Those
 * are called as processes.
 */
import { Cause, ConfigProvider, Console, Effect, Exit, Option, Stdio, Stream } from "effect"
import { format, stripVTControlCharacters } from "node:util"
import { carryOut } from "../../../src/cli/CommandLine.ts"
import { exitCodes, Failure } from "../../../src/cli/output/Failure.ts"

// Some verbs read them where no provider of settings is.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("FLAREDB_")) delete process.env[name]
}

/** Keeps what is written to standard output while `command` runs, and has `args` as the process's own. */
const asProcess = <A, E, R>(args: ReadonlyArray<string>, out: Array<string>, command: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const { argv, stdout: { write } } = process
      process.argv = [...argv.slice(0, 2), ...args]
      process.stdout.write = (chunk: string | Uint8Array, ...rest: ReadonlyArray<unknown>) => {
        out.push(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString())
        const done = rest.find((one) => typeof one === "function")
        if (done !== undefined) queueMicrotask(() => done())
        return true
      }
      return { argv, write }
    }),
    () => command,
    ({ argv, write }) =>
      Effect.sync(() => {
        process.argv = argv
        process.stdout.write = write
      })
  )

export interface InProcessOptions {
  readonly env?: Readonly<Record<string, string>>
  /** For commands with rows or values, which they write to standard output themselves, and for errors as JSON. */
  readonly oneAtATime?: boolean
  /** Leaves control characters in what was printed. */
  readonly asIs?: boolean
  /** What is read from standard input; nothing unless it is given. */
  readonly stdin?: string | Uint8Array
}

/** Standard input with the bytes that are given, and everything else as it is. */
const reading = (input: string | Uint8Array) =>
  Effect.updateService(Stdio.Stdio, (stdio) => ({
    ...stdio,
    stdin: Stream.succeed(typeof input === "string" ? new TextEncoder().encode(input) : input)
  }))

/** Carries `args` out, with no other variables than `env`, and gives what `run` of `CommandLine.ts` gives. */
export const runInProcess = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  { asIs = false, env = {}, oneAtATime = false, stdin = "" }: InProcessOptions = {}
) {
  const out: Array<string> = []
  const err: Array<string> = []
  const keep = (lines: Array<string>) => (...values: ReadonlyArray<unknown>) =>
    void lines.push(`${format(...values)}\n`)
  const command = carryOut(args, false).pipe(
    reading(stdin),
    Effect.provideService(Console.Console, { ...globalThis.console, log: keep(out), error: keep(err) }),
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env }))),
    Effect.exit
  )
  const exit = yield* oneAtATime ? asProcess(args, out, command) : command
  const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  const code = Exit.isSuccess(exit) ? 0 : failure instanceof Failure ? failure.exitCode : exitCodes.failed
  const plain = (lines: ReadonlyArray<string>) => asIs ? lines.join("") : stripVTControlCharacters(lines.join(""))
  return { code, out: plain(out), err: plain(err) }
})
