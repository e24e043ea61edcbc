/** Where the page is: the part behind the `#`. A link to a key can be sent to somebody else. */
import { useEffect, useState } from "preact/hooks"
import { shownKey, typedKey } from "./Bytes.ts"

export interface Route {
  readonly page: string
  /** What of the page: a prefix, a key, an id. */
  readonly rest: string
}

const current = (): Route => {
  const [, page = "overview", rest = ""] = /^#\/([a-z]*)(?:\/(.*))?$/s.exec(location.hash) ?? []
  return { page: page === "" ? "overview" : page, rest }
}

export const useRoute = (): Route => {
  const [route, setRoute] = useState(current)
  useEffect(() => {
    const changed = () => setRoute(current())
    addEventListener("hashchange", changed)
    return () => removeEventListener("hashchange", changed)
  }, [])
  return route
}

/** A key in an address: as it is shown, escaped. */
export const keyPart = (key: Uint8Array): string => encodeURIComponent(shownKey(key)).replaceAll("%2F", "/")

export const partKey = (rest: string): Uint8Array => {
  try {
    return typedKey(decodeURIComponent(rest))
  } catch {
    return typedKey(rest)
  }
}

/** Folders end with a slash; what is behind `=` is a key. */
export const keysLink = (prefix: Uint8Array, key?: Uint8Array): string =>
  key === undefined ? `#/keys/${keyPart(prefix)}` : `#/key/${keyPart(key)}`

export const watchLink = (prefix: Uint8Array): string => `#/watch/${keyPart(prefix)}`
