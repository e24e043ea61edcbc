/** The commands on leases: grant, keep-alive, revoke, ttl, list. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Leases } from "../../client/Lease.ts"
import { counted } from "../output/Counted.ts"
import { clientFlags, withClient, withWriter } from "../input/ClientFlags.ts"
import { durationArgument } from "../input/Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import type { Encoding } from "../input/Encoding.ts"
import { encodingsOf, jsonField, keyEncodingFlags, shown, written } from "../input/Encoding.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"
import { checkTtl } from "../input/TtlFlag.ts"
import { table } from "../output/Table.ts"

const idArgument = Argument.Int("id").pipe(Argument.withDescription("the lease, as grant printed it"))

const validId = (id: number) => id > 0 ? Effect.succeed(id) : Effect.fail(wrongUsage(`${id} is no lease id`))

const grant = Command.make("grant", {
  ...clientFlags,
  ttl: durationArgument("ttl").pipe(
    Argument.withDescription("time to live, from 1s to what the nodes allow (--max-lease-ttl-ms), such as 60s or 2h")
  )
}, (flags) =>
  Effect.gen(function*() {
    yield* checkTtl("ttl", flags.ttl)
    const lease = yield* withWriter(flags, Leases.use((leases) => leases.grant(flags.ttl)))
    yield* flags.json
      ? Output.json(lease)
      : Output.row([String(lease.id), `lives for ${formatDuration(lease.ttlMs)} unless it is kept alive`], false)
  })).pipe(
    Command.withDescription("Grant a lease: keys put with it are deleted when it ends."),
    Command.withExamples([{ command: "flaredb lease grant 60s", description: "A lease of a minute" }])
  )

const keepAlive = Command.make("keep-alive", {
  ...clientFlags,
  once: makeSwitch("once").pipe(
    Flag.withDescription("once, instead of until it is stopped"),
    Flag.withDefault(false)
  ),
  id: idArgument
}, (flags) =>
  Effect.gen(function*() {
    const id = yield* validId(flags.id)
    const kept = (lease: { readonly id: number; readonly ttlMs: number }) =>
      flags.json
        ? Output.json(lease)
        : Output.line(`lease ${lease.id} lives for ${formatDuration(lease.ttlMs)} from now`)
    if (flags.once) {
      return yield* Effect.flatMap(withClient(flags, Leases.use((leases) => leases.keepAlive(id))), kept)
    }
    yield* withClient(
      flags,
      Leases.use((leases) =>
        Effect.scoped(
          Effect.flatMap(leases.hold(id), (held) => Effect.andThen(kept({ id: held.id, ttlMs: held.ttlMs }), held.lost))
        )
      )
    )
  })).pipe(
    Command.withDescription("Keep a lease alive until this command is stopped; fails when the lease is lost."),
    Command.withExamples([{ command: "flaredb lease keep-alive 17", description: "Keep lease 17 alive" }])
  )

const revoke = Command.make("revoke", { ...clientFlags, id: idArgument }, (flags) =>
  Effect.gen(function*() {
    const id = yield* validId(flags.id)
    const deleted = yield* withWriter(flags, Leases.use((leases) => leases.revoke(id)))
    yield* flags.json
      ? Output.json({ id, deleted })
      : Output.line(`revoked; ${counted(deleted, "key")} deleted`)
  })).pipe(
    Command.withDescription("End a lease and delete its keys."),
    Command.withExamples([{ command: "flaredb lease revoke 17", description: "End lease 17" }])
  )

/** A key that is no text is an object, which says how it is written. */
const keysJson = (keys: ReadonlyArray<Uint8Array>, asked: Encoding) =>
  keys.map((key) => {
    const { encoding, text } = written(key, asked)
    return encoding === asked ? text : jsonField("key", key, asked)
  })

const ttl = Command.make(
  "ttl",
  { ...clientFlags, ...keyEncodingFlags, raw: Output.rawFlag, id: idArgument },
  (flags) =>
    Effect.gen(function*() {
      const id = yield* validId(flags.id)
      const lease = yield* withClient(flags, Leases.use((leases) => leases.timeToLive(id)))
      const encoding = encodingsOf(flags).key
      if (flags.json) return yield* Output.json({ ...lease, keys: keysJson(lease.keys, encoding) })
      yield* Output.line(`${formatDuration(lease.remainingMs)} of ${formatDuration(lease.ttlMs)} are left`)
      yield* Output.rows(lease.keys.map((key) => [shown(key, encoding)]), flags.raw)
    })
).pipe(
  Command.withDescription("Print what is left of a lease, and the keys attached to it."),
  Command.withExamples([{ command: "flaredb lease ttl 17", description: "How long lease 17 still lives" }])
)

const list = Command.make("list", clientFlags, (flags) =>
  Effect.gen(function*() {
    const leases = yield* withClient(flags, Leases.use((service) => service.list()))
    if (flags.json) return yield* Effect.forEach(leases, Output.json, { discard: true })
    yield* Output.lines(
      table([
        ["LEASE", "TTL", "LEFT", "KEYS", "CALLER"],
        ...leases.map(({ caller, id, keys, remainingMs, ttlMs }) => [
          String(id),
          formatDuration(ttlMs),
          formatDuration(remainingMs),
          String(keys),
          caller === "" ? "-" : caller
        ])
      ])
    )
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription("Print all leases."),
    Command.withExamples([{ command: "flaredb lease list --json", description: "One JSON object for each" }])
  )

export const lease = Command.make("lease").pipe(
  Command.withDescription("Leases: times to live that keys can be attached to."),
  Command.withSubcommands([grant, keepAlive, revoke, ttl, list]),
  Command.withExamples([{ command: "flaredb lease grant 60s", description: "A lease of a minute" }])
)
