/** IPv6 has many spellings of one address; the URL parser knows the canonical one. */
export function sameAddress(left: string, right: string): boolean {
  return left === right || (right.includes(':') && URL.parse(`http://[${left}]`)?.hostname === URL.parse(`http://[${right}]`)?.hostname);
}
