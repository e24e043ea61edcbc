/** A program of this folder that runs entities in a process of its own, until the scope ends or a signal comes. */
import { Deferred, Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

/** The program says so when it runs. Lines that come later go to `onLine`. */
export const startRunner = Effect.fnUntraced(function*(
  program: string,
  args: ReadonlyArray<string>,
  { env = {}, onLine = () => Effect.void }: {
    readonly env?: Readonly<Record<string, string>>
    readonly onLine?: (line: string) => Effect.Effect<unknown>
  } = {}
) {
  const child = yield* ChildProcess.make(
    process.execPath,
    [fileURLToPath(new URL(program, import.meta.url)), ...args],
    { env, extendEnv: true, stdin: "ignore", stderr: "inherit", killSignal: "SIGKILL" }
  )
  const running = yield* Deferred.make<void, Error>()
  yield* Effect.forkScoped(
    child.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => line === "RUNNING" ? Deferred.succeed(running, undefined) : onLine(line)),
      Effect.ignore,
      Effect.andThen(Deferred.fail(running, new Error(`${program} ended before it ran`)))
    )
  )
  yield* Deferred.await(running)
  return child
})
