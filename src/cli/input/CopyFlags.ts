/** The flags of commands that copy from another system into the store: where it is, and what is only looked at. */
import { Config, Effect, Option } from "effect"
import { Flag } from "effect/cli"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"
import { makeSwitch } from "./Switch.ts"

/** Where the other system is. `variable` is read where the flag is left out, and is named in the description. */
export const fromFlag = (metavar: string, description: string, variable: string) =>
  Flag.String("from").pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(`required, ${description} (${variable})`),
    Flag.withFallbackConfig(Config.String(variable)),
    Flag.optional
  )

/** What `--from` says; `question` is asked when it says nothing. */
export const fromOf = (from: Option.Option<string>, question: string): Effect.Effect<string, Failure> =>
  Option.match(from, {
    onNone: () => Effect.fail(wrongUsage(`--from is missing: ${question}`)),
    onSome: Effect.succeed
  })

const lookFlag = (name: string, description: string) =>
  makeSwitch(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** The two flags with which nothing is copied. `verifyName` is the second one's. */
export const lookFlags = (dryRun: string, verifyName: string, verify: string) => ({
  dryRun: lookFlag("dry-run", dryRun),
  verify: lookFlag(verifyName, verify)
})

/** Refuses both flags of {@link lookFlags} at once. */
export const oneLook = (
  { dryRun, verify }: { readonly dryRun: boolean; readonly verify: boolean },
  verifyName: string
): Effect.Effect<void, Failure> =>
  dryRun && verify ? Effect.fail(wrongUsage(`--dry-run and --${verifyName} exclude each other`)) : Effect.void
