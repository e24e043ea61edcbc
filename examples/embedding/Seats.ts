/**
 * Seats of a theatre, as a service that keeps them in FlareDB: a seat is held for ten minutes, and free again unless it
 * is paid for by then.
 */
import { Context, Effect, Layer, Option } from "effect"
import type { ReadFailure, WriteFailure } from "flaredb/client"
import { Compare, KeyValue, Leases, Op } from "flaredb/client"

/** How long a seat is held. */
const heldMs = 10 * 60_000

export class Seats extends Context.Service<Seats, {
  /** Holds a seat for somebody; false when somebody else has it. */
  readonly hold: (seat: string, who: string) => Effect.Effect<boolean, WriteFailure>
  /** Makes a held seat theirs for good; false when it is not held by them any more. */
  readonly pay: (seat: string, who: string) => Effect.Effect<boolean, WriteFailure>
  readonly ownerOf: (seat: string) => Effect.Effect<Option.Option<string>, ReadFailure>
}>()("example/Seats") {
  static readonly layer = Layer.effect(
    Seats,
    Effect.gen(function*() {
      const kv = yield* KeyValue
      const leases = yield* Leases
      const key = (seat: string) => `seats/${seat}`
      return Seats.of({
        hold: Effect.fnUntraced(function*(seat, who) {
          // The key goes when the lease ends, which is after ten minutes because nothing keeps it alive.
          const lease = yield* leases.grant(heldMs)
          const { succeeded } = yield* kv.transact({
            if: [Compare.missing(key(seat))],
            do: [Op.put(key(seat), who, { lease: lease.id })]
          })
          if (!succeeded) yield* leases.revoke(lease.id)
          return succeeded
        }),
        // A put without a lease detaches the key from the one it had.
        pay: (seat, who) =>
          Effect.map(
            kv.transact({ if: [Compare.value(key(seat)).equals(who)], do: [Op.put(key(seat), who)] }),
            ({ succeeded }) => succeeded
          ),
        ownerOf: (seat) => Effect.map(kv.get(key(seat)), Option.map((entry) => entry.text))
      })
    })
  )
}
