/** The command that gives back room in the directory of a stopped node. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { named } from "../input/Named.ts"
import { makeSwitch } from "../input/Switch.ts"
import { failureOf } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { formatBytes } from "../output/Progress.ts"

export const reclaim = Command.make("reclaim", {
  directory: Argument.String("directory").pipe(Argument.withDescription("a node's data directory")),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per line"), Flag.withDefault(false))
}, (flags) =>
  Effect.gen(function*() {
    const { directory, json } = flags
    yield* named("name of the directory", directory)
    const Reclaim = yield* Effect.promise(() => import("../../storage/Reclaim.ts"))
    const { bytesAfter, bytesBefore } = yield* Reclaim.reclaim(directory)
    yield* json
      ? Output.json({ directory, bytesBefore, bytesAfter })
      : Output.line(`${directory}: ${formatBytes(bytesBefore)} before, ${formatBytes(bytesAfter)} now`)
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Give back the room that deleted keys and forgotten history still take on the disk of a stopped node. A " +
        "running node gives it back by itself as it is written to; this is for the day that is too slow."
    ),
    Command.withExamples([
      { command: "flaredb reclaim /var/lib/flaredb/node-1", description: "While node 1 is stopped" }
    ])
  )
