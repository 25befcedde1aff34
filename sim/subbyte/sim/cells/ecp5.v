// Models of the ECP5 cells that Yosys ships as black boxes, as its techmap and our gateware use them. Sources: Lattice
// FPGA-TN-02204 (memory) and FPGA-TN-02205 (sysDSP). What they do not do ends the simulation. tests/test_sim_cells.py
// compares them with the Verilog that they are inferred from.

// 1,024 x 18 bits with two ports of 1, 2, 4, 9 or 18 bits, or 512 x 36 with A writing and B reading.
// Address bits that select inside 18 (36) bits are the byte enables of 18 (36) bit wide writes.
module DP16KD (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
        DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
        DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
        DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
        DOB1, DOB0
);
    parameter integer DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG", RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "AUTO";
    parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 = 0,
        INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0,
        INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0, INITVAL_10 = 0,
        INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0, INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0,
        INITVAL_17 = 0, INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0,
        INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0,
        INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0, INITVAL_28 = 0,
        INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0, INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0,
        INITVAL_2F = 0, INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0,
        INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0,
        INITVAL_3B = 0, INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

    localparam [64 * 320 - 1:0] INITIAL = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38, INITVAL_37,
        INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E,
        INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25,
        INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C,
        INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13,
        INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A,
        INITVAL_09, INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };

    reg [17:0] memory [0:1023];
    reg [35:0] read_a = 0, read_b = 0;
    wire [35:0] data_a = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6,
        DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [35:0] data_b = {18'b0, DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6,
        DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
    wire [13:0] address_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1,
        ADA0};
    wire [13:0] address_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1,
        ADB0};
    wire clock_a = (CLKAMUX == "INV") ^ CLKA, clock_b = (CLKBMUX == "INV") ^ CLKB;
    wire enable_a = CEA & ~|{CSA2, CSA1, CSA0}, enable_b = CEB & ~|{CSB2, CSB1, CSB0};

    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
        DOA1, DOA0} = DATA_WIDTH_B == 36 ? read_b[17:0] : read_a[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
        DOB1, DOB0} = DATA_WIDTH_B == 36 ? read_b[35:18] : read_b[17:0];

    // First bit of the part that a port of at most 9 bits sees in 18: bit 8 of either byte belongs to 9 bits only.
    function [4:0] part(input integer width, input [13:0] address);
        part = (address[3] ? 5'd9 : 5'd0) + (width < 9 ? {2'b0, address[2:0]} & -width[4:0] : 5'd0);
    endfunction

    function [35:0] word(input integer width, input [13:0] address);
        if (width == 36) word = {memory[{address[13:5], 1'b1}], memory[{address[13:5], 1'b0}]};
        else if (width == 18) word = {18'b0, memory[address[13:4]]};
        else word = {18'b0, memory[address[13:4]] >> part(width, address)} & ((36'b1 << width) - 1);
    endfunction

    // Bits that a write of at most 18 changes.
    function [17:0] mask(input integer width, input [13:0] address);
        mask = width == 18 ? {{9{address[1]}}, {9{address[0]}}} : ((18'b1 << width) - 1) << part(width, address);
    endfunction

    wire [17:0] mask_a = mask(DATA_WIDTH_A, address_a), mask_b = mask(DATA_WIDTH_B, address_b);
    wire [17:0] moved_a = DATA_WIDTH_A == 18 ? data_a[17:0] : data_a[17:0] << part(DATA_WIDTH_A, address_a);
    wire [17:0] moved_b = DATA_WIDTH_B == 18 ? data_b[17:0] : data_b[17:0] << part(DATA_WIDTH_B, address_b);
    wire [35:0] mask_wide = {{9{address_a[3]}}, {9{address_a[2]}}, {9{address_a[1]}}, {9{address_a[0]}}};
    wire [35:0] new_wide = (word(36, address_a) & ~mask_wide) | (data_a & mask_wide);

    integer i;
    initial begin
        for (i = 0; i < 1024; i = i + 1) memory[i] = INITIAL[320 * (i / 16) + 20 * (i % 16) +: 18];
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || WRITEMODE_A == "WRITETHROUGH" || WRITEMODE_B == "WRITETHROUGH"
            || CSDECODE_A != "0b000" || CSDECODE_B != "0b000") begin
            $display("Error: DP16KD %m: only NOREG, NORMAL, READBEFOREWRITE and CSDECODE 0b000 are modelled");
            $finish;
        end
    end

    always @(posedge RSTA or posedge RSTB)
        if (RESETMODE != "SYNC") begin  // which Yosys also sets where there is no reset
            $display("Error: DP16KD %m: an asynchronous reset is not modelled");
            $finish;
        end

    always @(posedge clock_a) begin
        if (RSTA) read_a <= 0;
        else if (enable_a && (!WEA || WRITEMODE_A == "READBEFOREWRITE")) read_a <= word(DATA_WIDTH_A, address_a);
        if (enable_a && WEA && !RSTA) begin
            if (DATA_WIDTH_A == 36) begin
                memory[{address_a[13:5], 1'b0}] <= new_wide[17:0];
                memory[{address_a[13:5], 1'b1}] <= new_wide[35:18];
            end else memory[address_a[13:4]] <= (memory[address_a[13:4]] & ~mask_a) | (moved_a & mask_a);
        end
    end

    always @(posedge clock_b) begin
        if (RSTB) read_b <= 0;
        else if (enable_b && (!WEB || WRITEMODE_B == "READBEFOREWRITE")) read_b <= word(DATA_WIDTH_B, address_b);
        if (enable_b && WEB && !RSTB)
            memory[address_b[13:4]] <= (memory[address_b[13:4]] & ~mask_b) | (moved_b & mask_b);
    end
endmodule

// 18 x 18 bits without its registers, or with that of the product.
module MULT18X18D (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
        P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_PIPELINE_CLK = "NONE", REG_OUTPUT_CLK = "NONE";
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    wire signed [37:0] wide_a = {{20{SIGNEDA & a[17]}}, a}, wide_b = {{20{SIGNEDB & b[17]}}, b};
    wire signed [37:0] product = wide_a * wide_b;
    reg [35:0] held;
    always @(posedge CLK0) if (RST0) held <= 0; else if (CE0) held <= product[35:0];
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
        P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0}
        = REG_OUTPUT_CLK == "CLK0" ? held : product[35:0];

    initial
        if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_PIPELINE_CLK != "NONE"
            || (REG_OUTPUT_CLK != "NONE" && REG_OUTPUT_CLK != "CLK0")) begin
            $display("Error: MULT18X18D %m: only a register of the product on CLK0 is modelled");
            $finish;
        end
endmodule
