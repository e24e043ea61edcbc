/** The name in a `Host` header or an address, lower-case and without its port, brackets or the dot of the root. */
export const hostName = (header: string): string =>
  header.toLowerCase().replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "")
