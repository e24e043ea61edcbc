/** Measures the requests of the HTTP port as calls, each under its path. */
import type { Server } from "node:http"
import type { CallMetrics } from "../net/CallMetrics.ts"

/** Where scrapers and probes come all the time. */
const operatorPaths: ReadonlySet<string> = new Set(["/", "/livez", "/readyz", "/metrics", "/status", "/debug/raft"])

/** Callers choose what they ask for, so any other path is one of these names, or below one of {@link folders}. */
const known: ReadonlySet<string> = new Set([
  ...operatorPaths,
  "/plain",
  "/v1/scan",
  "/v1/count",
  "/v1/txn",
  "/v1/leases",
  // These last as long as somebody looks, so they are in no label with others.
  "/v1/watch",
  "/console/watch",
  "/console/events"
])

/** The first part of a path below which there are many; the first that fits is the label. */
const folders: ReadonlyArray<string> = ["/v1/keys/", "/v1/leases/", "/v1/", "/console/calls/", "/console/"]

/** Whether somebody looks after the node there: such requests get no spans. */
export const isForOperators = (url: string): boolean => operatorPaths.has(url.split("?", 1)[0] ?? "")

/** The label of a path: bounded, whatever callers ask for. */
export const pathLabel = (url: string): string => {
  const path = url.split("?", 1)[0] ?? ""
  if (known.has(path)) return path
  const folder = folders.find((prefix) => path.startsWith(prefix))
  return folder === undefined ? "other" : `${folder}*`
}

/** The name of what an answer says went wrong; its status, as HTTP has no other. */
const errorOf = (status: number): string | undefined => status >= 400 ? String(status) : undefined

/** Measures each request from its head to the end of its answer. */
export const measureRequests = (server: Server, metrics: CallMetrics): void => {
  server.on("request", (request, response) => {
    const sinceMs = metrics.nowMs()
    const path = pathLabel(request.url ?? "")
    response.once(
      "close",
      () => metrics.answered(path, sinceMs, response.writableFinished ? errorOf(response.statusCode) : "Interrupted")
    )
  })
}
