/** A small cluster in hbal's text, for tests: three nodes, four instances. */
const spec = '128,1,1024,1,1,1|1,1,0,0,0,1;65536,8,1048576,16,8,12|diskless,file,sharedfile,plain,blockdev,drbd,rbd,ext';

export const exampleData = `g|u-1|preferred||

h1|65536|4096|20480|1048576|1048576|16|M|u-1|1||N|0|1|1.0
h2|65536|4096|45056|1048576|1048576|16|N|u-1|1|rack:a,rack:b|N|0|1|0.85
h3|65536|4096|61440|1048576|1048576|16|Y|u-1|1||N|0|1|1.0

web|8192|20480|4|running|Y|h1||ext|tier:web|1|-|N
mail|32768|20480|8|running|Y|h1||ext||1|2|N
db|16384|20480|8|ERROR_up|N|h2|h1|drbd||1|-|N
old|4096|20480|2|ADMIN_down|Y|h2||ext||1|-|N

htools:iextags:tier

|${spec}|16.0|1000.0
g|${spec}|4.0|1.0e-2
`;

export const exampleUtil = `web 0.25 0.125 0 0
mail 0.4375 0.5 0.01 0.002
db 0.1 0.25 0 0
`;
