/** Flags that the verbs of `flaredb cert` share. */
import { Effect } from "effect"
import { Flag } from "effect/cli"
import { maxDays } from "../../certificates/Authority.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"
import { withDefault } from "./DefaultValue.ts"
import { durationFlag } from "./Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import { isFolder, kindAt } from "../../FileKind.ts"
import { makeSwitch } from "./Switch.ts"

/** Where an authority and what it issued lie unless it is said otherwise. */
export const defaultFolder = "./certs"

export const folderFlag = Flag.String("certs-dir").pipe(
  Flag.withMetavar("DIR"),
  withDefault("the folder of the authority: ca.crt, ca.key, and a folder for each node and client", defaultFolder)
)

export const jsonFlag = makeSwitch("json").pipe(
  Flag.withDescription("print one JSON object per line"),
  Flag.withDefault(false)
)

export const overwriteFlag = makeSwitch("overwrite").pipe(
  Flag.withDescription("replace files that are there already"),
  Flag.withDefault(false)
)

export const daysFlag = (what: string, days: number) =>
  Flag.Int("days").pipe(
    Flag.withMetavar("N"),
    withDefault(`days for which ${what} is valid, at most ${maxDays}`, days)
  )

export const timeoutFlag = durationFlag("timeout").pipe(
  withDefault("how long a port may take to show its certificate, at most 1m", 5_000, "5s")
)

const maxTimeoutMs = 60_000

export const checkFolder = (folder: string): Effect.Effect<void, Failure> =>
  Effect.suspend(() => {
    if (folder === "") return Effect.fail(wrongUsage("--certs-dir is empty; name a folder"))
    const kind = isFolder(folder) ? undefined : kindAt(folder)
    return kind === undefined ? Effect.void : Effect.fail(wrongUsage(`--certs-dir ${folder} is ${kind}; name a folder`))
  })

export const checkDays = (days: number): Effect.Effect<void, Failure> =>
  days >= 1 && days <= maxDays ? Effect.void : Effect.fail(wrongUsage(`--days ${days} is not from 1 to ${maxDays}`))

export const checkTimeout = (ms: number): Effect.Effect<void, Failure> =>
  ms >= 1 && ms <= maxTimeoutMs
    ? Effect.void
    : Effect.fail(wrongUsage(`--timeout ${formatDuration(ms)} is not from 1ms to ${formatDuration(maxTimeoutMs)}`))
