/** What went wrong at several nodes, in one sentence. */

export interface EndpointError {
  readonly endpoint: string
  readonly reason: string
}

/** Every endpoint with its reason; a reason that several share is there once. Empty when nothing went wrong. */
export const describeEndpointErrors = (errors: ReadonlyArray<EndpointError>): string => {
  const endpoints = new Map<string, Array<string>>()
  for (const { endpoint, reason } of errors) {
    const own = reason.startsWith(`${endpoint}: `) ? reason.slice(endpoint.length + 2) : reason
    const same = endpoints.get(own)
    if (same === undefined) endpoints.set(own, [endpoint])
    else same.push(endpoint)
  }
  return [...endpoints].map(([reason, [first = "", ...more]]) =>
    more.length === 0 && reason.startsWith(first) ? reason : `${[first, ...more].join(", ")}: ${reason}`
  ).join("; ")
}
