/**
 * What says that a claimer is there: a key on its lease. Claims name it, so that one keep-alive holds the claims of all
 * workers of a process, for as long as their handlers run. When the process is gone, so is the key, and everything it
 * had claimed is free for others, who watch the key.
 */
import { Data, Deferred, Effect, Option } from "effect"
import { randomUUID } from "node:crypto"
import type { KeyValue, WriteFailure } from "../../../client/KeyValue.ts"
import type { HeldLease } from "../../../client/Lease.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import type { Claim, QueueKeys } from "./Layout.ts"
import { tokenOf } from "./Layout.ts"
import { queueLayout } from "./QueueLayout.ts"
import { repeated } from "./Repeated.ts"

/** The claimer's key is gone, and its claims are free. */
export class PresenceLost extends Data.TaggedError("PresenceLost")<{ readonly message: string }> {}

/** What a claimer is for as long as its lease lives. */
export class Presence {
  readonly id: string
  readonly key: string
  /** While this holds, the claims of the claimer are its own. One object, so that shared steps compare it once. */
  readonly holds: Compare
  /** Fails when its key is gone. */
  readonly gone: Deferred.Deferred<never, PresenceLost> = Deferred.makeUnsafe()
  private claims = 0

  /** `revision` is the one that created the key. */
  constructor(id: string, key: string, revision: number) {
    this.id = id
    this.key = key
    this.holds = Compare.createRevision(key).equals(revision)
  }

  /** A claim that no other one is equal to. */
  claim(): Claim {
    return { claimer: this.id, token: tokenOf(this.id, ++this.claims) }
  }

  /** Its key was not found. */
  lose(): void {
    Deferred.doneUnsafe(this.gone, Effect.fail(new PresenceLost({ message: `${this.key} is gone` })))
  }

  /** Writes the key. It is this claimer's alone, so that whatever became of an attempt, another one does no harm. */
  static announce(
    kv: KeyValue["Service"],
    keys: QueueKeys,
    lease: HeldLease
  ): Effect.Effect<Presence, WriteFailure> {
    const id = randomUUID()
    const key = keys.claimer(id)
    const put = kv.transact({
      if: [Compare.missing(key)],
      do: [Op.put(key, queueLayout, { lease: lease.id })],
      else: [Op.get(key)]
    })
    return Effect.flatMap(repeated(put), (txn) => {
      if (txn.succeeded) return Effect.succeed(new Presence(id, key, txn.revision))
      const [found] = txn.results
      return Option.isSome(found)
        ? Effect.succeed(new Presence(id, key, found.value.createRevision))
        : Effect.die(new Error("a key is neither missing nor there"))
    })
  }
}
