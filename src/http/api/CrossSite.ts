/**
 * Whether a request was made by a page of another site. A browser sends such requests with whatever its user may do at
 * this node (a certificate, or nothing where nothing is asked), and the page cannot read the answer but can write.
 */
import type { Headers } from "effect/http"

/** A page of another port of this machine is another site too: browsers call that `same-site`. */
const ownSites: ReadonlySet<string> = new Set(["same-origin", "none"])

const hostOf = (origin: string): string | undefined => URL.canParse(origin) ? new URL(origin).host : undefined

/** Programs other than browsers send neither header, or a matching `Origin`. */
export const isCrossSite = (headers: Headers.Headers): boolean => {
  const { host, origin } = headers
  const site = headers["sec-fetch-site"]
  if (site !== undefined && !ownSites.has(site)) return true
  return origin !== undefined && (host === undefined || hostOf(origin) !== hostOf(`http://${host}`) &&
      hostOf(origin) !== hostOf(`https://${host}`))
}
