/**
 * The command line in the process of the test, for tables of hundreds of calls. A process takes a quarter of a second
 * to load what each of them needs. Left out is what `bin/flaredb.js` and `src/cli/flaredb.ts` add: the bytes of
 * arguments, `--json` for errors, signals, and the settings of a node's process. Those are called as processes.
 */
import { Cause, ConfigProvider, Console, Effect, Exit, Option } from "effect"
import { format, stripVTControlCharacters } from "node:util"
import { carryOut } from "../../../src/cli/CommandLine.ts"
import { exitCodes, Failure } from "../../../src/cli/output/Failure.ts"

// Some verbs read them where no provider of settings is.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("FLAREDB_")) delete process.env[name]
}

/** Carries `args` out, without variables, and gives what `run` of `CommandLine.ts` gives. */
export const runInProcess = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const out: Array<string> = []
  const err: Array<string> = []
  const keep = (lines: Array<string>) => (...values: ReadonlyArray<unknown>) =>
    void lines.push(`${format(...values)}\n`)
  const exit = yield* carryOut(args, false).pipe(
    Effect.provideService(Console.Console, { ...globalThis.console, log: keep(out), error: keep(err) }),
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} }))),
    Effect.exit
  )
  const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  const code = Exit.isSuccess(exit) ? 0 : failure instanceof Failure ? failure.exitCode : exitCodes.failed
  const plain = (lines: ReadonlyArray<string>) => stripVTControlCharacters(lines.join(""))
  return { code, out: plain(out), err: plain(err) }
})
