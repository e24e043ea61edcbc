/** What a node says about its own health, for load balancers and orchestrators. */
import type { NodeStatus } from "../node/NodeStatus.ts"

/** Whether a node can serve, and if not, why in one line. */
export interface Readiness {
  readonly ready: boolean
  readonly reason: string
}

/** How long before its end a certificate is mentioned, in milliseconds. */
const warnMs = 7 * 86_400_000

const daysText = (ms: number): string => {
  const days = Math.floor(ms / 86_400_000)
  return days === 0 ? "less than a day" : days === 1 ? "1 day" : `${days} days`
}

/** What readiness says of the certificate of `holder` (`node 2`), behind its reason; empty while there is time. */
export const expiryText = (holder: string, expiresMs: number, nowMs: number): string => {
  const leftMs = expiresMs - nowMs
  if (leftMs > warnMs) return ""
  const date = new Date(expiresMs).toISOString().slice(0, 10)
  const renewal = `renew it with flaredb cert ${holder} --overwrite`
  return leftMs <= 0
    ? `; warning: the certificate of ${holder} expired on ${date}; ${renewal}`
    : `; warning: the certificate of ${holder} ends on ${date}, in ${daysText(leftMs)}; ${renewal}`
}

/** A node is ready once it waits for nothing (`node/Waiting.ts`). */
export const readiness = ({ applied, commit, leader, role, snapshots, term, waiting }: NodeStatus): Readiness => {
  if (waiting === undefined) {
    return { ready: true, reason: role === "leader" ? `leads term ${term}` : `follows node ${leader} in term ${term}` }
  }
  const { receiving } = snapshots
  if (waiting.kind === "state" && receiving !== undefined) {
    return { ready: false, reason: `${waiting.text}: ${receiving.bytes} of about ${receiving.estimatedBytes} bytes` }
  }
  return { ready: false, reason: waiting.kind === "apply" ? `${waiting.text}: ${commit - applied}` : waiting.text }
}
