/** The connections that the guard remembers, from nft's JSON (libnftables-json(5)). */
import { isIP } from 'node:net';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { guardTable } from '#core/channel/guard-rules.ts';
import { PlimsollError } from '#core/model/result.ts';

const setList = Compile(
  Type.Object({
    nftables: Type.Array(
      Type.Object({
        set: Type.Optional(Type.Object({ table: Type.String(), name: Type.String(), elem: Type.Optional(Type.Array(Type.Unknown())) })),
      }),
    ),
  }),
);

const port = Type.Integer({ minimum: 0, maximum: 65_535 });
const flowElement = Compile(
  Type.Object({ elem: Type.Object({ val: Type.Object({ concat: Type.Tuple([Type.String(), port, Type.String(), port]) }) }) }),
);

function elementsIn(text: string): readonly unknown[] {
  const value = parseJson(text);
  if (!setList.Check(value)) {
    throw new PlimsollError('guard-missing', 'nft printed sets in an unknown form; check that nftables 1.0.6 or newer is installed.');
  }
  return value.nftables.flatMap(({ set }) => (set?.table === guardTable ? (set.elem ?? []) : []));
}

/** Connections that the guard has seen open inside IPsec, as nft takes them: `10.0.0.1 . 49152 . 10.0.0.2 . 40000`. */
export function flowsIn(text: string, family: 4 | 6): readonly string[] {
  return elementsIn(text).flatMap((element) => {
    if (!flowElement.Check(element)) return [];
    const [local, localPort, remote, remotePort] = element.elem.val.concat;
    return isIP(local) !== family || isIP(remote) !== family ? [] : [`${local} . ${localPort} . ${remote} . ${remotePort}`];
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
