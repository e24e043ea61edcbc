/**
 * The versions of a protocol that a process speaks, from the oldest to the newest. Two processes use the highest one
 * that both speak. A release keeps speaking the version of the release before it, so that the two run side by side.
 */

export interface ProtocolRange {
  readonly oldest: number
  readonly newest: number
}

/** The highest version that both speak; `undefined` when there is none. */
export const commonVersion = (a: ProtocolRange, b: ProtocolRange): number | undefined => {
  const common = Math.min(a.newest, b.newest)
  return common >= Math.max(a.oldest, b.oldest) ? common : undefined
}

/**
 * What a `Hello` says. Releases before ranges compare `protocolVersion` with their own version and know no `newest`, so
 * the oldest version is said where they look.
 */
export const rangeOfHello = (hello: { readonly protocolVersion: number; readonly newest?: number }): ProtocolRange => ({
  oldest: hello.protocolVersion,
  newest: Math.max(hello.protocolVersion, hello.newest ?? 0)
})

/** `8`, or `8 to 9`. */
export const rangeText = ({ newest, oldest }: ProtocolRange): string =>
  newest === oldest ? String(newest) : `${oldest} to ${newest}`
