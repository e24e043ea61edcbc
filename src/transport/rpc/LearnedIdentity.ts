/** What a transport knows of its own cluster's identity: nothing at first, and then one value for good. */
import type { Effect } from "effect"
import { Deferred, Exit } from "effect"
import type { ClusterIdentity } from "../../protocol/ClusterIdentity.ts"

export class LearnedIdentity {
  private readonly learned = Deferred.makeUnsafe<ClusterIdentity>()
  private value: ClusterIdentity | undefined

  get identity(): ClusterIdentity | undefined {
    return this.value
  }

  /** What a `Hello` says. */
  get wire(): string | null {
    return this.value ?? null
  }

  /** Waits until it is known. */
  readonly known: Effect.Effect<ClusterIdentity> = Deferred.await(this.learned)

  learn(identity: ClusterIdentity): void {
    this.value = identity
    Deferred.doneUnsafe(this.learned, Exit.succeed(identity))
  }
}
