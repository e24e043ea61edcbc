/** Addresses that only processes of the same machine reach. */

/** Whether a host, as it is written in an address, is this machine alone: `localhost`, 127.0.0.0/8 or `::1`. */
export const isLoopbackHost = (host: string): boolean => {
  const name = host.toLowerCase().replace(/^::ffff:/, "")
  return name === "localhost" || name === "::1" || /^127(?:\.\d{1,3}){3}$/.test(name)
}
