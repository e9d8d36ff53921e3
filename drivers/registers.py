"""Register maps as declarations: what the datasheet's tables say, once, for driver and emulator.

A map is a `RegisterMap` of `Register`s with `Field`s, all named as in the datasheet, in lower case.
`faults()` lists what cannot be true of a map; a test runs it over every part. A shared map hides
its own mistakes, so each part also has a datasheet.csv that a test holds against it.

Nothing here touches a bus (port.py does), and nothing here belongs in a hot path: a driver derives
its struct format and its LSB from a `Register` once, at import.
"""

from struct import calcsize, pack, unpack

from drivers.errors import RegisterError

READ_ONLY = "r"
READ_WRITE = "rw"
THREE_BYTES = (">T", ">t")


class Field:
    """Bits `low` .. `low + width - 1` of a register, bit 0 being the least significant.

    `settings` maps what a code means (in the datasheet's unit) to the code. What is as usual stands
    in the class: a board with many registers has less memory than names for it.
    """

    width = 1
    access = READ_WRITE
    settings: "dict" = None  # type: ignore[assignment]

    def __init__(
        self, name: str, low: int, width: int = 1, access: str = READ_WRITE, settings=None
    ):
        self.name = name
        self.low = low
        if width != 1:
            self.width = width
        if access != READ_WRITE:
            self.access = access
        if settings is not None:
            self.settings = settings

    def mask(self) -> int:
        """Return the field's bits, in place."""
        return ((1 << self.width) - 1) << self.low

    def get(self, word: int) -> int:
        """Return the field's code in `word`."""
        return (word & self.mask()) >> self.low

    def put(self, word: int, code: int) -> int:
        """Return `word` with the field set to `code`; `RegisterError` where it does not fit."""
        if not 0 <= code < 1 << self.width:
            raise RegisterError(f"{self.name}: {code} does not fit {self.width} bits")
        return (word & ~self.mask()) | (code << self.low)

    def code(self, setting) -> int:
        """Return the code of `setting`; `RegisterError` lists the settings there are."""
        for known, code in self.settings.items():
            if _is_same(known, setting):
                return code
        choices = ", ".join(str(known) for known in sorted(self.settings))
        raise RegisterError(f"{self.name}: no setting {setting!r}, use one of {choices}")

    def setting(self, word: int):
        """Return what the field's code in `word` means; `RegisterError` for a reserved code."""
        found = self.get(word)
        for known, code in self.settings.items():
            if code == found:
                return known
        raise RegisterError(f"{self.name}: code {found} is reserved")


class Register:
    """One register at `address`, whose bytes on the bus are those of the `struct` code `code`.

    `code` is one of B, b (one byte), >H, >h (two, most significant first), <H, <h (least first),
    >T, >t (three, which `struct` does not know); small letters are two's complement. `fields` may
    leave bits out: those are reserved and keep the value of `reset`. Without fields the whole
    register is one number with the access given. `lsb` is the SI value of one count, where the
    datasheet fixes one. What is as usual stands in the class, as with a Field.
    """

    access = READ_ONLY
    reset = 0
    fields: "tuple" = ()
    lsb: "float" = None  # type: ignore[assignment]

    def __init__(
        self,
        name: str,
        address: int,
        code: str,
        access: str = READ_ONLY,
        reset: int = 0,
        fields=(),
        lsb=None,
    ):
        self.name = name
        self.address = address
        self.code = code
        if access != READ_ONLY:
            self.access = access
        if reset:
            self.reset = reset
        if fields:
            self.fields = fields
        if lsb is not None:
            self.lsb = lsb

    @property
    def width_bytes(self) -> int:
        """How many bytes cross the bus."""
        return 3 if self.code in THREE_BYTES else calcsize(self.code)

    @property
    def is_signed(self) -> bool:
        """Whether the number is in two's complement."""
        return self.code[-1].islower()

    def label(self) -> str:
        """Return name and address as messages show them."""
        return f"{self.name} (0x{self.address:02X})"

    def field(self, name: str) -> Field:
        """Return the field called `name`; `RegisterError` names the fields there are."""
        for field in self.fields:
            if field.name == name:
                return field
        names = ", ".join(field.name for field in self.fields)
        raise RegisterError(f"{self.name}: no field {name!r}, use one of {names}")

    def word(self, **codes) -> int:
        """Return the register's value: reset value, with the fields named set to their codes."""
        word = self.reset
        for name, code in codes.items():
            word = self.field(name).put(word, code)
        return word

    def writable(self) -> int:
        """Return the mask of the bits a master may change."""
        if not self.fields:
            return self.mask() if self.access == READ_WRITE else 0
        mask = 0
        for field in self.fields:
            if field.access == READ_WRITE:
                mask |= field.mask()
        return mask

    def mask(self) -> int:
        """Return the word with all bits of the register set."""
        return (1 << 8 * self.width_bytes) - 1

    def pack(self, word: int) -> bytes:
        """Return `word` (two's complement when negative) as the bytes that cross the bus."""
        word &= self.mask()
        if self.width_bytes == 3:
            return bytes((word >> 16, (word >> 8) & 0xFF, word & 0xFF))
        return pack(self.code.upper(), word)

    def unpack(self, data) -> int:
        """Return the number that the bytes of the bus mean, negative where the code says so."""
        if self.width_bytes == 3:
            word = (data[0] << 16) | (data[1] << 8) | data[2]
            return word - 0x1000000 if self.is_signed and word & 0x800000 else word
        return unpack(self.code, data)[0]


class RegisterMap:
    """All declared registers of a part, with the document they were read in.

    A byte-addressed chip gives each byte an address of its own; a pointer-addressed one gives each
    register one, whatever its width.
    """

    def __init__(self, part: str, document: str, registers, *, is_byte_addressed: bool = False):
        self.part = part
        self.document = document
        self.registers = registers
        self.is_byte_addressed = is_byte_addressed

    def span(self, register: Register) -> int:
        """Return how many addresses `register` takes."""
        return register.width_bytes if self.is_byte_addressed else 1

    def at(self, address: int):
        """Return the register that holds `address`, or None where nothing is declared."""
        for register in self.registers:
            if register.address <= address < register.address + self.span(register):
                return register
        return None

    def faults(self) -> "list":
        """Return one sentence for each thing that cannot be true of this map."""
        names = [register.name for register in self.registers]
        found = [
            f"{self.part}: register name {name} is used twice"
            for name in sorted(set(names))
            if names.count(name) > 1
        ]
        owners: dict = {}
        for register in self.registers:
            for address in range(register.address, register.address + self.span(register)):
                if address in owners:
                    found.append(
                        f"{self.part}: {register.name} and {owners[address]} share 0x{address:02X}"
                    )
                owners[address] = register.name
            found.extend(f"{self.part}: {fault}" for fault in _faults_of(register))
        return found


def _faults_of(register: Register) -> "list":
    found = []
    bits = 8 * register.width_bytes
    if not 0 <= register.reset < 1 << bits:
        found.append(f"{register.name}: reset value {register.reset:#x} needs over {bits} bits")
    if register.fields and register.is_signed:
        found.append(f"{register.name}: a register with fields is not a signed number")
    taken = 0
    names = []
    for field in register.fields:
        if field.name in names:
            found.append(f"{register.name}: field {field.name} is declared twice")
        names.append(field.name)
        if field.low < 0 or field.width < 1 or field.low + field.width > bits:
            found.append(f"{register.name}: field {field.name} lies outside {bits} bits")
            continue
        if taken & field.mask():
            found.append(f"{register.name}: field {field.name} overlaps another")
        taken |= field.mask()
        codes = list(field.settings.values()) if field.settings else []
        if len(set(codes)) < len(codes) or any(not 0 <= code < 1 << field.width for code in codes):
            found.append(f"{register.name}: field {field.name} repeats a code or exceeds its width")
    return found


def _is_same(known, asked) -> bool:
    """Compare settings; floats within 1e-6, as boards with 32-bit floats parse them apart."""
    if isinstance(known, str) or isinstance(asked, str):
        return known == asked
    return abs(known - asked) <= 1e-6 * abs(known)
