/** What failed at a port, as one line of the log. Some of it comes from strangers, so it has a bound. */

/** Room for the longest advice of a refusal (`PeerRefused`) behind what both sides have. */
const maxCharacters = 600

export const oneLine = (text: string): string => text.replace(/\s+/g, " ").slice(0, maxCharacters)
