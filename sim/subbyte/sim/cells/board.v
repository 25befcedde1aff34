// The PLLs of both families, as BoardClock uses them: the clock passes through, at the rate that the bench gives it.
// They lock after a while, so the reset that waits for it is seen.

module locked_pll (input reference, output clock, output reg locked);
    reg [3:0] waited = 0;
    initial locked = 0;
    assign clock = reference;
    always @(posedge reference) {locked, waited} <= locked ? {locked, waited} : waited + 5'd1;
endmodule

// What nextpnr makes of SB_PLL40_PAD and SB_PLL40_CORE. Its attribute of the pad is taken care of in routed_netlist.py.
module ICESTORM_PLL (
    input REFERENCECLK, RESETB, BYPASS, EXTFEEDBACK, LATCHINPUTVALUE, SDI, SCLK,
    input DYNAMICDELAY_0, DYNAMICDELAY_1, DYNAMICDELAY_2, DYNAMICDELAY_3, DYNAMICDELAY_4, DYNAMICDELAY_5,
        DYNAMICDELAY_6, DYNAMICDELAY_7,
    output PLLOUT_A, PLLOUT_A_GLOBAL, LOCK, SDO
);
    parameter TEST_MODE = 0, SHIFTREG_DIVMODE = 0, PLLTYPE = 0, ENABLE_ICEGATE_PORTB = 0, ENABLE_ICEGATE_PORTA = 0;
    parameter PLLOUT_SELECT_B = 0, PLLOUT_SELECT_A = 0, FILTER_RANGE = 0, FEEDBACK_PATH = 0, FDA_RELATIVE = 0;
    parameter FDA_FEEDBACK = 0, DIVR = 0, DIVQ = 0, DIVF = 0, DELAY_ADJMODE_REL = 0, DELAY_ADJMODE_FB = 0;
    locked_pll pll (REFERENCECLK, PLLOUT_A_GLOBAL, LOCK);
    assign PLLOUT_A = PLLOUT_A_GLOBAL, SDO = 1'b0;
endmodule

// What icebox_vlog makes of it.
module SB_PLL40_CORE (
    input REFERENCECLK, EXTFEEDBACK, BYPASS, RESETB, LATCHINPUTVALUE, SDI, SCLK,
    input [7:0] DYNAMICDELAY,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK, SDO
);
    parameter FEEDBACK_PATH = "SIMPLE", DELAY_ADJUSTMENT_MODE_FEEDBACK = "FIXED";
    parameter DELAY_ADJUSTMENT_MODE_RELATIVE = "FIXED", PLLOUT_SELECT = "GENCLK";
    parameter SHIFTREG_DIV_MODE = 0, FDA_FEEDBACK = 0, FDA_RELATIVE = 0, DIVR = 0, DIVF = 0, DIVQ = 0;
    parameter FILTER_RANGE = 0, ENABLE_ICEGATE = 0, TEST_MODE = 0;
    locked_pll pll (REFERENCECLK, PLLOUTGLOBAL, LOCK);
    assign PLLOUTCORE = PLLOUTGLOBAL, SDO = 1'b0;
endmodule

module EHXPLLL (input CLKI, CLKFB, RST, STDBY, output CLKOP, LOCK);
    parameter FEEDBK_PATH = "CLKOP", CLKOP_ENABLE = "ENABLED";
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0;
    locked_pll pll (CLKI, CLKOP, LOCK);
endmodule

module INPUT_PAD (input PIN, output VALUE);
    assign VALUE = PIN;
endmodule

// Of iCE40 and of ECP5. A pad that does not drive is 0.
module OUTPUT_PAD_ENABLED (input VALUE, ENABLE, output PIN);
    assign PIN = VALUE & ENABLE;
endmodule

module OUTPUT_PAD_DISABLED (input VALUE, DISABLE, output PIN);
    assign PIN = VALUE & ~DISABLE;
endmodule
