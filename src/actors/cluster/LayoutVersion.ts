/**
 * The version of the rows of messages. A storage of messages looks at it before it reads or writes any, and leaves
 * alone what is of another version: messages that wait there would never be delivered, and none may be lost without a
 * word.
 */
import { Effect } from "effect"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import { OtherLayout, repeatable } from "./Failures.ts"
import { joined } from "./Joined.ts"

/** The version that is read and written. The first one had no row of its own. */
const version = "2"

export class LayoutVersion {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private isKnown = false

  constructor(keys: ClusterKeys, kv: KeyValue["Service"]) {
    this.keys = keys
    this.kv = kv
  }

  /** Carries out an effect once the rows are known to be of this version; asks the store the first time only. */
  before<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ReadFailure | WriteFailure | OtherLayout, R> {
    return Effect.suspend(() => this.isKnown ? effect : Effect.andThen(this.check, effect))
  }

  private readonly check = joined(Effect.suspend(() => this.look()))

  private readonly look = Effect.fnUntraced({ self: this }, function*(
    this: LayoutVersion
  ): Effect.fn.Return<void, ReadFailure | WriteFailure | OtherLayout> {
    const { layoutVersion: key, requests } = this.keys
    while (!this.isKnown) {
      const [rows, before] = yield* Effect.all([
        this.kv.scan(requests, { limit: 1, keysOnly: true }),
        this.kv.get(key)
      ], { concurrency: 2 })
      const hasRows = rows.entries.length > 0
      // Read once more after the messages: who puts the first one has put the version before.
      const found = before._tag === "None" && hasRows ? yield* this.kv.get(key) : before
      if (found._tag === "Some") {
        if (found.value.text !== version) return yield* new OtherLayout({ key, version: found.value.text })
        this.isKnown = true
      } else if (hasRows) return yield* new OtherLayout({ key, version: "1" })
      else {
        const put = { if: [Compare.missing(key)], do: [Op.put(key, version)] }
        this.isKnown = (yield* repeatable(this.kv.transact(put))).succeeded
      }
    }
  })
}
