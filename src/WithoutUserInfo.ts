/** An address that was given, as messages may show it: the part before its `@` may hold a password. */
export const withoutUserInfo = (address: string): string => address.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/i, "$1…@")
