/** The handlers for leases. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { GrantRequest } from "./Answers.ts"
import { Api } from "./Api.ts"
import type { Asked, Failure } from "./ApiServer.ts"
import { answer, ApiServer, timeLimit, withBody } from "./ApiServer.ts"
import { keyJson } from "./Entries.ts"
import { decodeBody } from "./JsonBody.ts"
import { idProblem } from "./RequestIds.ts"

/** A body that says how long a lease is to live has no more bytes. */
const maxGrantBody = 4_096

/**
 * Grants a lease once: its id is recorded, and a request that comes again gets that one. A lease whose record met an
 * unknown fate may be known to no caller; then it has no keys, and ends by itself.
 */
const grantOnce = Effect.fnUntraced(function*(
  { ids }: ApiServer["Service"],
  { caller, leases, requests }: Asked,
  id: string,
  ttlMs: number,
  timeoutMs: number
) {
  const problem = idProblem(id)
  if (problem !== undefined) return yield* problem
  const command = { _tag: "GrantLease", ttlMs } as const
  const request = { id, caller, command, timeoutMs, stillAllowed: requests.stillAllowed(command) }
  const before = yield* ids.grantedBefore(request)
  if (before !== undefined) return { ...before, replayed: true as const }
  const lease = yield* leases.grant(ttlMs, { timeoutMs })
  const recorded = yield* ids.granted(request, { id: lease.id, ttlMs: lease.ttlMs })
  return recorded.id === lease.id ? lease : { ...recorded, replayed: true as const }
})

export const leaseHandlers = HttpApiBuilder.group(
  Api,
  "leases",
  (handlers) =>
    Effect.map(ApiServer, (server) =>
      handlers
        .handleRaw("grant", ({ headers, query, request }) =>
          answer(server, request, (asked) =>
            withBody(server, request, maxGrantBody, (body) =>
              Effect.flatMap(decodeBody(GrantRequest, body), ({ ttlMs }): Effect.Effect<
                { readonly id: number; readonly ttlMs: number; readonly replayed?: true },
                Failure
              > => {
                const id = headers["idempotency-key"]
                const { timeoutMs } = timeLimit(query)
                return id === undefined
                  ? asked.leases.grant(ttlMs, { timeoutMs })
                  : grantOnce(server, asked, id, ttlMs, timeoutMs)
              }))))
        .handle("leases", ({ query, request }) =>
          answer(
            server,
            request,
            ({ leases }) => Effect.map(leases.list({ ...query, ...timeLimit(query) }), (found) => ({ leases: found }))
          ))
        .handle("lease", ({ params, query, request }) =>
          answer(server, request, ({ leases }) =>
            Effect.map(
              leases.timeToLive(params.lease, { ...query, ...timeLimit(query) }),
              ({ keys, ...lease }) => ({
                ...lease,
                keys: keys.map((key) =>
                  keyJson(key, query.encoding ?? "text")
                )
              })
            )))
        .handle(
          "keepAlive",
          ({ params, query, request }) =>
            answer(server, request, ({ leases }) => leases.keepAlive(params.lease, timeLimit(query)))
        )
        .handle(
          "revoke",
          ({ params, query, request }) =>
            answer(
              server,
              request,
              ({ leases }) => Effect.map(leases.revoke(params.lease, timeLimit(query)), (deleted) => ({ deleted }))
            )
        ))
)
