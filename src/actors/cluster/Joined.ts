/**
 * A question to the store that many ask at the same time, as when a process begins with thousands of requests: those
 * that ask while an answer is under way wait for it. Otherwise the node has to refuse some of them.
 */
import { Deferred, Effect } from "effect"

/** The effect, carried out once for all that wait for it. */
export const joined = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  let underWay: Deferred.Deferred<A, E> | undefined
  return Effect.suspend(() => {
    if (underWay !== undefined) return Deferred.await(underWay)
    const answer = underWay = Deferred.makeUnsafe<A, E>()
    const work = Effect.map(Effect.exit(effect), (exit) => {
      underWay = undefined
      Deferred.doneUnsafe(answer, exit)
    })
    // The first one works for all, also when it is interrupted.
    return Effect.andThen(Effect.forkDetach(work), Deferred.await(answer))
  })
}
